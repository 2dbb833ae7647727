package audit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
)

// List calls each with the records made at or after since, newest first, at most limit, and with the reason of those
// that say that something did not happen. It reads the file beside its writers.
func (l *Log) List(since time.Time, limit int, each func(record adminapi.Record, refused string) error) error {
	newest, err := l.newest(since, limit)
	if err != nil {
		return &fault.Error{Op: "list audit records", Kind: fault.Unavailable, Subject: l.path, Err: err}
	}
	for _, r := range slices.Backward(newest) {
		record := adminapi.Record{At: r.At, Who: r.Who, What: r.What, Before: r.Before, After: r.After}
		if err := each(record, r.Refused); err != nil {
			return err
		}
	}
	return nil
}

// newest reads forward, as the file is written, and keeps the last records alone.
func (l *Log) newest(since time.Time, limit int) ([]line, error) {
	l.mu.Lock()
	size := l.mu.size
	l.mu.Unlock()
	file, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, size))
	lines.Buffer(nil, maxLine)
	var kept []line
	for n := 1; lines.Scan(); n++ {
		var r line
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if r.At.Before(since) {
			continue
		}
		if len(kept) == 2*limit {
			kept = slices.Delete(kept, 0, limit)
		}
		kept = append(kept, r)
	}
	return kept[max(0, len(kept)-limit):], lines.Err()
}
