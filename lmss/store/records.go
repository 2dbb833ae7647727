package store

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
)

// DefaultListLimit is how many call records a query returns that sets no limit.
const DefaultListLimit = 100

// RecordFilter chooses call records. Zero fields choose all.
type RecordFilter struct {
	// Since and Until bound the time of set-up: not before Since, and before Until.
	Since, Until time.Time
	// User is the caller, the called number or the callee.
	User string
	// ID is one record.
	ID cdr.ID
	// Older leaves out that record and all that a list shows before it, so that a long list can be read in parts: they
	// are newer, or as new and of a higher id. Nil leaves out none.
	Older *cdr.Record
	// Limit is how many at most. Zero means DefaultListLimit; negative means all.
	Limit int
}

func writeRecord(tx *transaction, r cdr.Record) error {
	tx.w.mu.scratch = r.Append(tx.w.mu.scratch[:0])
	return tx.exec(putRecord, string(r.ID), nanoseconds(r.SetupAt), r.Caller, r.Called, r.Callee, string(r.Termination.Class), tx.w.mu.scratch)
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// QueryCDRs reads the records of calls that are over, newest first. Those that still wait for the disk are among them.
func (s *Store) QueryCDRs(f RecordFilter) ([]cdr.Record, error) {
	if f.Limit == 0 {
		f.Limit = DefaultListLimit
	}
	waiting := s.waitingRecords(f)
	query, args := f.query()
	records, err := load(s, "query call records", query, func(scan func(...any) error) (cdr.Record, error) {
		var r cdr.Record
		var data []byte
		if err := scan(&data); err != nil {
			return r, err
		}
		return r, r.Read(data)
	}, args...)
	if err != nil {
		return nil, err
	}
	if len(waiting) > 0 {
		records = merge(records, waiting)
	}
	if f.Limit > 0 && len(records) > f.Limit {
		records = records[:f.Limit]
	}
	return records, nil
}

func (f *RecordFilter) query() (string, []any) {
	var where []string
	var args []any
	add := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if !f.Since.IsZero() {
		add("setup_at >= ?", nanoseconds(f.Since))
	}
	if !f.Until.IsZero() {
		add("setup_at < ?", nanoseconds(f.Until))
	}
	if f.User != "" {
		add("(caller = ? OR called = ? OR callee = ?)", f.User, f.User, f.User)
	}
	if f.ID != "" {
		add("id = ?", string(f.ID))
	}
	if f.Older != nil {
		add("(setup_at, id) < (?, ?)", nanoseconds(f.Older.SetupAt), string(f.Older.ID))
	}
	query := "SELECT data FROM cdrs"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY setup_at DESC, id DESC LIMIT ?", append(args, f.Limit)
}

func (f *RecordFilter) match(r *cdr.Record) bool {
	return (f.Since.IsZero() || !r.SetupAt.Before(f.Since)) &&
		(f.Until.IsZero() || r.SetupAt.Before(f.Until)) &&
		(f.User == "" || f.User == r.Caller || f.User == r.Called || f.User == r.Callee) &&
		(f.ID == "" || f.ID == r.ID) &&
		(f.Older == nil || newestFirst(*f.Older, *r) < 0)
}

// waitingRecords are those in the queue; not those of a commit that is running, which are seen an instant later.
func (s *Store) waitingRecords(f RecordFilter) []cdr.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []cdr.Record
	for _, r := range s.mu.queue.closed {
		if f.match(&r) {
			found = append(found, r)
		}
	}
	return found
}

func merge(written, waiting []cdr.Record) []cdr.Record {
	known := make(map[cdr.ID]bool, len(written))
	for i := range written {
		known[written[i].ID] = true
	}
	for _, r := range waiting {
		if !known[r.ID] {
			written = append(written, r)
		}
	}
	slices.SortFunc(written, newestFirst)
	return written
}

func newestFirst(a, b cdr.Record) int {
	return cmp.Or(b.SetupAt.Compare(a.SetupAt), strings.Compare(string(b.ID), string(a.ID)))
}
