package discovery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/fault"
)

const (
	readLimit  = 3 * time.Second
	retryPause = 500 * time.Millisecond
	// askEvery is how often a quiet watch is asked how far it is, and silenceLimit when no answer means that
	// nobody is there: a watch on a stopped member is silent for ever.
	askEvery     = 2 * time.Second
	silenceLimit = 3 * askEvery
)

// follow keeps the view current: the whole directory at R, then changes from R+1, and the whole again
// whenever that breaks, for whatever reason.
func (d *Directory) follow(ctx context.Context) {
	for ctx.Err() == nil {
		revision, err := d.readAll(ctx)
		if err == nil {
			d.setLive(true)
			err = d.watch(ctx, revision+1)
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRefresh) {
			continue
		}
		d.setLive(false)
		d.options.Logger.DebugContext(ctx, "directory not followed", slog.Any("error", err))
		wait(ctx, retryPause+rand.N(retryPause)) //nolint:gosec // spreading load, no secret
	}
}

// readAll takes the whole directory and gives its revision.
func (d *Directory) readAll(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	got, err := d.options.Client.Get(ctx, rangeBegin, clientv3.WithRange(rangeEnd))
	if err != nil {
		return 0, err
	}
	all := make([]event, 0, len(got.Kvs))
	for _, kv := range got.Kvs {
		all = append(all, event{string(kv.Key), kv.Value, kv.ModRevision})
	}
	d.update(func(s *state) { s.replace(all, got.Header.Revision, time.Now()) })
	return got.Header.Revision, nil
}

var errRefresh = errors.New("somebody asked for the whole directory")

// watch applies changes until something is wrong, and says what.
func (d *Directory) watch(ctx context.Context, from int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	responses := d.options.Client.Watch(ctx, rangeBegin, clientv3.WithRange(rangeEnd), clientv3.WithRev(from),
		clientv3.WithProgressNotify(), clientv3.WithFragment())
	var asking sync.WaitGroup
	asking.Go(func() { d.askProgress(ctx) })
	defer asking.Wait()
	defer cancel() // before the wait
	look := time.NewTicker(askEvery)
	defer look.Stop()
	heard := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.refresh:
			return errRefresh
		case <-look.C:
			if time.Since(heard) > silenceLimit {
				return fault.New("watch directory", fault.Timeout, "", "the member is silent")
			}
		case r, ok := <-responses:
			if !ok {
				return fault.New("watch directory", fault.Unavailable, "", "the watch ended")
			}
			if err := r.Err(); err != nil {
				return err
			}
			heard = time.Now()
			d.take(&r)
		}
	}
}

// askProgress asks how far the watch is, so that silence means something. The question itself may hang.
func (d *Directory) askProgress(ctx context.Context) {
	for wait(ctx, askEvery) {
		if err := d.options.Client.RequestProgress(ctx); err != nil {
			return // the watch ends by the same cause
		}
	}
}

func (d *Directory) take(r *clientv3.WatchResponse) {
	if len(r.Events) == 0 {
		return
	}
	events := make([]event, 0, len(r.Events))
	for _, e := range r.Events {
		made := event{key: string(e.Kv.Key), revision: e.Kv.ModRevision}
		if e.Type == clientv3.EventTypePut {
			made.value = e.Kv.Value
		}
		events = append(events, made)
	}
	d.update(func(s *state) { s.apply(events, r.Header.Revision, time.Now()) })
}
