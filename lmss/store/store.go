// Package store keeps what a site must not forget: users, registrations, calls that are up, call records,
// the audit trail. It is one SQLite file with one writer that commits whatever waits, each few
// milliseconds at most. It owns the files in its directory and decides nothing about calls. Start at [Open],
// then [Store.Run].
//
// Two kinds of writes: what call control and the registrar do is queued, grouped and answered by a
// callback ([Store.SaveCall]); what operators do waits for its own commit ([Store.PutUser]).
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // registers the driver

	"github.com/mss-federation/mss/pkg/fault"
)

// The files in the state directory.
const (
	databaseName = "lmss.db"
	lockName     = "lock"
	notesName    = "notes"
	reserveName  = "reserve"
)

// ErrStopped answers what comes after the store has stopped.
var ErrStopped = fault.New("write to store", fault.Unavailable, "", "the store has stopped")

// Store is one open state directory. Its methods may be called from several goroutines.
type Store struct {
	dir     string
	options Options
	lock    *os.File
	reader  *sql.DB
	writer  *writer // owns the one connection that writes
	notes   *Notes
	reserve reserve

	counters counters

	closing sync.Once
	closed  error // what the first Close said

	wake chan struct{} // capacity 1: there is something in queue, or the state has changed

	mu struct {
		sync.Mutex
		queue   *batch
		spare   *batch    // empty, for the next swap
		flying  time.Time // since when the oldest write of the commit that is running has waited; zero when none is
		state   State
		cause   error // of the state, nil when healthy
		stopped bool
	}
}

// Open locks the directory, making it if need be, and brings its database to this build's format. A second
// process on one directory is a fault.Conflict that names the first. Whoever opens a store calls Close.
func Open(dir string, options Options) (*Store, error) {
	options.EnsureDefaults()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, openFault(dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, openFault(dir, err)
	}
	lock, err := acquire(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, options: options, lock: lock, wake: make(chan struct{}, 1)}
	s.mu.queue, s.mu.spare = newBatch(), newBatch()
	if err := s.open(); err != nil {
		return nil, errors.Join(openFault(dir, err), s.Close())
	}
	return s, nil
}

func openFault(dir string, err error) error {
	return &fault.Error{Op: "open store", Kind: fault.KindOf(err), Subject: dir, Err: err}
}

func (s *Store) open() error {
	path := filepath.Join(s.dir, databaseName)
	s.reserve = reserve{path: filepath.Join(s.dir, reserveName), size: s.options.ReserveBytes}
	var err error
	if s.writer, err = openWriter(path, &s.options); err != nil && stateOf(err) == Full && s.reserve.giveUp() {
		s.writer, err = openWriter(path, &s.options)
	}
	if err != nil {
		return err
	}
	if s.reader, err = sql.Open("sqlite", dsn(path, "query_only(1)")); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(4)
	if s.notes, err = OpenNotes(filepath.Join(s.dir, notesName), s.options.NotesBytes); err != nil {
		return err
	}
	s.forgetExpired(time.Now())
	if err := s.reserve.make(); err != nil {
		s.options.Logger.Warn("no reserve for a full disk", "file", s.reserve.path, "error", err)
		s.mu.state, s.mu.cause = ReserveUsed, err
	}
	return nil
}

// dsn names the database. FULL makes each commit survive a power cut; a foreign program that holds the
// lock is waited for.
func dsn(path string, pragmas ...string) string {
	v := url.Values{"_txlock": {"immediate"}}
	for _, p := range append([]string{"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)"}, pragmas...) {
		v.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: v.Encode()}).String()
}

// Close gives everything back; a second time it does nothing. Run must have returned; what is still
// queued is lost.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.closeAll() })
	return s.closed
}

func (s *Store) closeAll() error {
	s.mu.Lock()
	s.mu.stopped = true
	s.mu.Unlock()
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.notes != nil {
		errs = append(errs, s.notes.Close())
	}
	// The lock goes last; it is unlocked before it is closed, as a process that is being started at this
	// moment may hold a copy of the descriptor until its exec.
	return errors.Join(append(errs, unix.Flock(int(s.lock.Fd()), unix.LOCK_UN), s.lock.Close())...)
}

// Notes are the notes on calls in set-up.
func (s *Store) Notes() *Notes { return s.notes }

// Setting reads a value; false when it was never set.
func (s *Store) Setting(key string) (string, bool, error) {
	var value string
	err := s.reader.QueryRowContext(context.Background(), "SELECT value FROM settings WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read setting %s: %w", key, err)
	}
	return value, true, nil
}

// SetSetting writes a value and waits until it is safe.
func (s *Store) SetSetting(key, value string) error {
	return s.transact("write setting", key, func(tx *transaction) error { return tx.exec(setSetting, key, value) })
}
