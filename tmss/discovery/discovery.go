// Package discovery is a hub's view of the domain's directory (etcd): which hubs there are, what operators
// configured, the keys of the domain. The directory is never on the path of a call: a hub starts from the copy
// on its own disk, keeps working from it, and learns changes when the directory can be reached.
//
// It does not run etcd (see tmss/directory) and holds no routes that nodes announce (see tmss/routetable).
// Start at [New], [Directory.Run] and [Directory.View].
package discovery

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/fault"
)

// Options say whose directory it is and where the copy is kept.
type Options struct {
	// Domain names the federation; a copy of another domain's directory is refused.
	Domain string
	// Client reaches the directory; see Dial. It is not closed.
	Client *clientv3.Client
	// Cache is the file of the copy on disk.
	Cache string
	// Self is this hub's own entry. Empty ID: the hub is not registered.
	Self Hub
	// KeepKeys makes and removes the domain's cookie keys, as every hub does.
	KeepKeys bool
	Logger   *slog.Logger
}

// Directory is the view and the way to change it. It is safe for concurrent use.
type Directory struct {
	options Options
	view    atomic.Pointer[View]
	refresh chan struct{}

	mu struct {
		sync.Mutex
		state   state
		self    Hub
		broken  map[string]int64 // keys of documents that could not be read, and their revisions
		changed chan struct{}    // closed at the next change of view or status
		status  Status
	}
	selfChanged chan struct{}
}

// Status says whether the view is current.
type Status struct {
	// Live: the directory can be reached and has a quorum. Not live: the view is what was last known.
	Live bool
	// Since is when that began.
	Since time.Time
	// Revision is the directory's, as far as the view goes.
	Revision int64
	// Registered: this hub's entry is in the directory, under a lease that is kept alive.
	Registered bool
}

// New starts from the copy on disk; there may be none. The copy's hubs are as they were when it was written.
func New(options Options) (*Directory, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Directory{options: options, refresh: make(chan struct{}, 1), selfChanged: make(chan struct{}, 1)}
	d.mu.changed = make(chan struct{})
	d.mu.self = options.Self
	d.mu.status.Since = time.Now()
	restored, err := loadCache(options.Cache, options.Domain)
	if fault.KindOf(err) == fault.Conflict {
		return nil, err
	}
	if err != nil {
		options.Logger.Warn("copy of the directory not used", slog.Any("error", err))
	}
	d.update(func(s *state) { *s = restored })
	return d, nil
}

// Run keeps the view current, this hub registered and the keys fresh, until ctx ends. It waits for nothing
// and ends with nothing left behind; the hub's entry is taken away.
func (d *Directory) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	tasks.Go(func() { d.follow(ctx) })
	tasks.Go(func() { d.keepCache(ctx) })
	if d.options.Self.ID != "" {
		tasks.Go(func() { d.register(ctx) })
	}
	if d.options.KeepKeys {
		tasks.Go(func() { d.keepKeys(ctx) })
	}
	tasks.Wait()
	return nil
}

// View is what is known now. It does not change; a later one replaces it.
func (d *Directory) View() *View { return d.view.Load() }

// Status says how good the view is.
func (d *Directory) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.status
}

// Changed is closed at the next change of the view or the status.
func (d *Directory) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.changed
}

// Follow calls fn with what was known before and what is known now, first with an empty view, then at each
// change, until ctx ends. Calls are serial; changes that come while fn runs come as one.
func (d *Directory) Follow(ctx context.Context, fn func(before, now *View)) {
	before := &View{}
	for {
		changed := d.Changed()
		if now := d.View(); now != before {
			fn(before, now)
			before = now
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// Refresh asks for the whole directory anew, soon. A hub that met an unknown cookie key calls it. It does not
// block.
func (d *Directory) Refresh() {
	select {
	case d.refresh <- struct{}{}:
	default:
	}
}

// SetSelf changes this hub's entry, such as its addresses after a change of configuration.
func (d *Directory) SetSelf(self Hub) {
	d.mu.Lock()
	d.mu.self = self
	d.mu.Unlock()
	select {
	case d.selfChanged <- struct{}{}:
	default:
	}
}

func (d *Directory) self() Hub {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.self
}

// update changes the state and tells about it.
func (d *Directory) update(change func(s *state)) {
	d.mu.Lock()
	change(&d.mu.state)
	view, broken := d.mu.state.view()
	d.view.Store(view)
	d.mu.status.Revision = d.mu.state.revision
	known := d.mu.broken
	d.mu.broken = make(map[string]int64, len(broken))
	for _, b := range broken {
		d.mu.broken[b.key] = b.revision
	}
	d.tellLocked()
	d.mu.Unlock()
	for _, b := range broken {
		if known[b.key] != b.revision { // once for each version of the document
			d.options.Logger.Error("document in the directory not understood: it is left out", slog.String("key", b.key), slog.Any("error", b.err))
		}
	}
}

// setLive notes whether the directory answers.
func (d *Directory) setLive(live bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.status.Live == live {
		return
	}
	d.mu.status.Live, d.mu.status.Since = live, time.Now()
	if live {
		d.options.Logger.Info("directory is reachable", slog.Int64("revision", d.mu.status.Revision))
	} else {
		d.options.Logger.Warn("directory is out of reach: this hub goes on with what it knows", slog.Int64("revision", d.mu.status.Revision))
	}
	d.tellLocked()
}

func (d *Directory) setRegistered(registered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.status.Registered != registered {
		d.mu.status.Registered = registered
		d.tellLocked()
	}
}

func (d *Directory) tellLocked() {
	close(d.mu.changed)
	d.mu.changed = make(chan struct{})
}
