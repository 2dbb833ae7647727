package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// Audit is one change by an operator. Before and After are texts without secrets; empty means that the
// thing was not there.
type Audit struct {
	At            time.Time // zero means now
	Who           string    // "uid 1000, pid 4711, alice"
	What          string    // "user set 4001"
	Before, After string
}

// AppendAudit writes an entry that belongs to no other change in the store, and waits until it is safe.
func (s *Store) AppendAudit(entry Audit) error {
	return s.transact("write audit entry", entry.What, func(tx *transaction) error { return tx.audit(entry) })
}

// audit appends an entry to the chain.
func (tx *transaction) audit(e Audit) error {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	var before []byte
	err := tx.w.mu.conn.QueryRowContext(context.Background(), "SELECT hash FROM audit ORDER BY seq DESC LIMIT 1").Scan(&before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return tx.exec(putAudit, e.At.UnixNano(), e.Who, e.What, e.Before, e.After, e.hash(before))
}

// hash chains the entry to the one before it. Each text is preceded by its length, so that none can pass
// for the end of another.
func (e *Audit) hash(before []byte) []byte {
	h := sha256.New()
	h.Write(before)
	buf := binary.BigEndian.AppendUint64(nil, uint64(e.At.UnixNano()))
	for _, text := range []string{e.Who, e.What, e.Before, e.After} {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(text)))
		buf = append(buf, text...)
	}
	h.Write(buf)
	return h.Sum(nil)
}

// LoadAudit reads the newest entries, newest first; limit not above zero means all.
func (s *Store) LoadAudit(limit int) ([]Audit, error) {
	if limit <= 0 {
		limit = -1
	}
	return load(s, "load audit entries", "SELECT at, who, what, before, after FROM audit ORDER BY seq DESC LIMIT ?", func(scan func(...any) error) (Audit, error) {
		var e Audit
		var at int64
		err := scan(&at, &e.Who, &e.What, &e.Before, &e.After)
		e.At = time.Unix(0, at)
		return e, err
	}, limit)
}

// VerifyAudit follows the chain from its beginning; an entry that was changed or taken out is a
// fault.Conflict that names the first place where the chain does not hold.
func (s *Store) VerifyAudit() error {
	var before []byte
	_, err := load(s, "verify audit entries", "SELECT seq, at, who, what, before, after, hash FROM audit ORDER BY seq", func(scan func(...any) error) (struct{}, error) {
		var e Audit
		var seq, at int64
		var hash []byte
		if err := scan(&seq, &at, &e.Who, &e.What, &e.Before, &e.After, &hash); err != nil {
			return struct{}{}, err
		}
		e.At = time.Unix(0, at)
		if before = e.hash(before); string(before) != string(hash) {
			return struct{}{}, fault.New("verify audit entry", fault.Conflict, fmt.Sprint(seq), "this entry, or one before it, was changed after it was written")
		}
		return struct{}{}, nil
	})
	return err
}
