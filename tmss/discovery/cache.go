package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/safefile"
)

// cacheFormat is the version of the file; a newer one is not read.
const cacheFormat = 1

// cachePace is how often a changing directory is written at most.
const cachePace = time.Second

// cacheFile is the directory as it was when it was last seen. It has the cookie keys: for its owner alone.
type cacheFile struct {
	Format   int             `json:"format"`
	Domain   string          `json:"domain"`
	Revision int64           `json:"revision"`
	Items    map[string]item `json:"items"`
}

// loadCache gives an empty state when there is no file, and an error of kind Conflict when the file is another
// domain's.
func loadCache(path, domain string) (state, error) {
	const op = "read copy of the directory"
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return state{}, nil
	}
	var file cacheFile
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	switch {
	case err != nil:
		return state{}, &fault.Error{Op: op, Kind: fault.Invalid, Subject: path, Err: err}
	case file.Format != cacheFormat:
		return state{}, fault.New(op, fault.Invalid, path, "it was written by a newer version")
	case file.Domain != domain:
		return state{}, fault.New(op, fault.Conflict, path, "it is the directory of "+file.Domain+", not of "+domain)
	}
	return state{revision: file.Revision, items: file.Items}, nil
}

// saveCache writes what is known now.
func (d *Directory) saveCache() error {
	d.mu.Lock()
	file := cacheFile{Format: cacheFormat, Domain: d.options.Domain, Revision: d.mu.state.revision, Items: d.mu.state.items}
	text, err := json.Marshal(file)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return safefile.Write(d.options.Cache, text)
}

// keepCache writes after changes, and at the end.
func (d *Directory) keepCache(ctx context.Context) {
	written := d.View()
	for {
		changed := d.Changed()
		if now := d.View(); now != written {
			if err := d.saveCache(); err != nil {
				d.options.Logger.ErrorContext(ctx, "copy of the directory not written", slog.Any("error", err))
			}
			written = now
			wait(ctx, cachePace)
		}
		select {
		case <-ctx.Done():
			if d.View() == written {
				return
			}
		case <-changed:
		}
	}
}

// wait pauses and says whether ctx still lives.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
