package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// The statements that are prepared once on the writing connection.
type statement int

const (
	begin statement = iota
	commit
	rollback
	putCall
	deleteCall
	putRecord
	putBinding
	deleteBinding
	deleteExpired
	putUser
	deleteUser
	putAudit
	setSetting
	statements
)

var statementText = [statements]string{
	begin:         "BEGIN IMMEDIATE",
	commit:        "COMMIT",
	rollback:      "ROLLBACK",
	putCall:       "INSERT OR REPLACE INTO calls (id, data, cdr) VALUES (?, ?, ?)",
	deleteCall:    "DELETE FROM calls WHERE id = ?",
	putRecord:     "INSERT OR REPLACE INTO cdrs (id, setup_at, caller, called, callee, class, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
	putBinding:    "INSERT OR REPLACE INTO bindings (aor, uri, expires, data) VALUES (?, ?, ?, ?)",
	deleteBinding: "DELETE FROM bindings WHERE aor = ? AND uri = ?",
	deleteExpired: "DELETE FROM bindings WHERE expires < ?",
	putUser:       "INSERT OR REPLACE INTO users (name, data) VALUES (?, ?)",
	deleteUser:    "DELETE FROM users WHERE name = ?",
	putAudit:      "INSERT INTO audit (at, who, what, before, after, hash) VALUES (?, ?, ?, ?, ?, ?)",
	setSetting:    "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)",
}

// writer is the one connection that writes. The mutex is held for a whole transaction, with its I/O:
// that is what it is for.
type writer struct {
	db *sql.DB

	mu struct {
		sync.Mutex
		conn     *sql.Conn
		prepared [statements]*sql.Stmt
		scratch  []byte // of the record that is being written
		unmoved  int64  // bytes in the write-ahead log that were not moved to the database, about
	}
	checkpointBytes int64
}

func openWriter(path string, o *Options) (*writer, error) {
	// SQLite would let others read what it makes; its log files get the rights of the database.
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "wal_autocheckpoint(0)"))
	if err != nil {
		return nil, err
	}
	w := &writer{db: db, checkpointBytes: o.CheckpointBytes}
	// Cancellable contexts would cost a goroutine per statement.
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(unusable(path, err), db.Close())
	}
	w.mu.conn = conn
	if err := w.prepare(path, o); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// makePrivate makes an empty file for us alone, unless there is one.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func unusable(path string, err error) error {
	next := "move it aside, or put a copy in its place"
	if stateOf(err) == Full {
		next = "free space on its disk, or end the program that holds it"
	}
	return fmt.Errorf("%s cannot be used: %s: %w", path, next, err)
}

func (w *writer) prepare(path string, o *Options) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	if err := migrate(w.mu.conn, path, steps); err != nil {
		return err
	}
	if err := limitPages(w.mu.conn, o.maxPages); err != nil {
		return err
	}
	for i, text := range statementText {
		if w.mu.prepared[i], err = w.mu.conn.PrepareContext(context.Background(), text); err != nil { //nolint:sqlclosecheck // close closes them
			return err
		}
	}
	return nil
}

func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, s := range w.mu.prepared {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, w.mu.conn.Close(), w.db.Close())...)
}

// transaction is the writer inside one. It ends with the function that got it.
type transaction struct {
	w *writer
}

func (tx *transaction) exec(s statement, args ...any) error {
	_, err := tx.w.mu.prepared[s].ExecContext(context.Background(), args...)
	return err
}

// affected is exec for those who want to know whether a row was there.
func (tx *transaction) affected(s statement, args ...any) (bool, error) {
	result, err := tx.w.mu.prepared[s].ExecContext(context.Background(), args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// do runs f in a transaction of its own and makes it durable, or leaves no trace of it. size is about how
// many bytes it writes.
func (w *writer) do(size int64, f func(*transaction) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	tx := &transaction{w}
	if err := tx.exec(begin); err != nil {
		return err
	}
	err := f(tx)
	if err == nil {
		err = tx.exec(commit)
	}
	if err != nil {
		// SQLite has rolled back by itself after some errors; then there is nothing to roll back.
		return errors.Join(err, ignoreNoTransaction(tx.exec(rollback)))
	}
	w.mu.unmoved += size
	if w.mu.unmoved < w.checkpointBytes {
		return nil
	}
	w.mu.unmoved = 0
	return w.checkpointLocked()
}

// checkpointLocked moves the write-ahead log into the database. SQLite would do it by itself, but would
// keep a failed fsync to itself too.
func (w *writer) checkpointLocked() error {
	var busy, total, moved int
	err := w.mu.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &total, &moved)
	if err != nil && stateOf(err) == Full {
		return nil // the commit is safe in the log, which stays; the next checkpoint moves it
	}
	return err
}

func ignoreNoTransaction(err error) error {
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		return nil
	}
	return err
}

func limitPages(conn *sql.Conn, pages int) error {
	if pages == 0 {
		return nil
	}
	var got int
	return conn.QueryRowContext(context.Background(), "PRAGMA max_page_count = "+strconv.Itoa(pages)).Scan(&got)
}
