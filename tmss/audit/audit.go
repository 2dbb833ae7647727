// Package audit keeps a hub's record of who changed what, or tried to: one JSON object a line, each with the hash of
// the one before, so that a line which was changed or taken out later shows. A record is on the disk before its writer
// goes on. It decides nothing. Start at [Open] and [Log.Append].
package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/tmss/enrol"
)

// line is one record as it stands in the file. The version is the format's: later builds read this one too.
type line struct {
	Version int       `json:"v"`
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	What    string    `json:"what"`
	Before  string    `json:"before,omitempty"`
	After   string    `json:"after,omitempty"`
	Refused string    `json:"refused,omitempty"`
	// Previous is the hash of the line before, without its line end.
	Previous string `json:"previous"`
}

const version = 1

// maxLine bounds a record, in bytes.
const maxLine = 1 << 20

// Log is the file of records. It is safe for concurrent use.
type Log struct {
	path string

	mu struct {
		sync.Mutex
		file     *os.File
		previous string
		size     int64 // of the whole records
	}
}

// Open opens the file, or makes it. A record that a crash left unfinished is cut off: nothing was done for it.
func Open(path string) (*Log, error) {
	const op = "open audit log"
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	l := &Log{path: path}
	l.mu.file = file
	if l.mu.previous, l.mu.size, err = scan(file); err == nil {
		err = file.Truncate(l.mu.size)
	}
	if err != nil {
		return nil, errors.Join(&fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}, file.Close())
	}
	return l, nil
}

// scan checks the chain and finds the end of the last whole record.
func scan(file *os.File) (previous string, size int64, err error) {
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLines)
	for n := 1; lines.Scan(); n++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return "", 0, fmt.Errorf("line %d: %w", n, err)
		}
		if l.Previous != previous {
			return "", 0, fmt.Errorf("line %d does not follow the line before: the file was changed; keep it and move it away", n)
		}
		previous = hashOf(lines.Bytes())
		size += int64(len(lines.Bytes())) + 1
	}
	return previous, size, lines.Err()
}

// wholeLines is bufio.ScanLines without a last line that has no end.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if atEOF && !bytes.ContainsRune(data, '\n') {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, false)
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Append writes the record of a change that is about to be made, and returns when it is safe.
func (l *Log) Append(r adminapi.Record) error {
	return l.write(line{At: r.At, Who: r.Who, What: r.What, Before: r.Before, After: r.After})
}

// Refuse writes that a change which was recorded did not happen.
func (l *Log) Refuse(r adminapi.Record, why error) error {
	return l.write(line{At: time.Now(), Who: r.Who, What: r.What, Refused: why.Error()})
}

// Audit writes what the enrolment service did or refused.
func (l *Log) Audit(_ context.Context, e enrol.Entry) error {
	return l.write(line{At: time.Now(), Who: e.Who, What: e.What, Refused: e.Refused})
}

func (l *Log) write(record line) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	record.Version, record.At, record.Previous = version, record.At.UTC(), l.mu.previous
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if _, err = l.mu.file.WriteAt(append(text, '\n'), l.mu.size); err == nil {
		err = l.mu.file.Sync()
	}
	if err != nil {
		return &fault.Error{Op: "write audit record", Kind: fault.Unavailable, Subject: l.path, Err: err}
	}
	l.mu.previous, l.mu.size = hashOf(text), l.mu.size+int64(len(text))+1
	return nil
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.file.Close()
}
