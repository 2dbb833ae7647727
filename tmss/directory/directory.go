// Package directory is the member of the domain's directory that a hub can run: an embedded etcd, in a
// process of its own, because etcd ends its process when a write fails.
//
// etcd itself listens on Unix sockets that belong to this process's user alone. In front of them stands our
// own TLS (pkg/identity), so that only hubs of the domain get in, sessions are not resumed, and a revoked
// hub is cut off; etcd's own access control is no boundary. What is kept in the directory is the business
// of tmss/discovery. Start at [Run].
package directory

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/supervise"
)

const opRun = "run directory"

// startPatience bounds the start. A single member is there in 0.2 s; one of three serves from its sockets
// at once and waits for the others without holding up anybody.
const startPatience = 30 * time.Second

// Run serves until ctx ends, and then returns nil with nothing left behind.
func Run(ctx context.Context, options Options) error {
	options.EnsureDefaults()
	if err := options.Validate(); err != nil {
		return err
	}
	m, err := open(&options)
	if err != nil {
		return err
	}
	return errors.Join(m.run(ctx), m.close())
}

// member is one running member.
type member struct {
	options *Options
	lock    *supervise.Lock
	source  *identity.Source
	trust   *identity.Trust
	fronts  []*front
	etcd    *embed.Etcd
	ending  atomic.Bool // etcd's last words are no news
}

// open takes what may belong to somebody else: the folder, the credentials, the ports. Then it starts etcd.
func open(o *Options) (*member, error) {
	m := &member{options: o}
	if err := m.acquire(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	config, err := etcdConfig(o, m.source.Current(), &m.ending)
	if err == nil {
		m.etcd, err = embed.StartEtcd(config)
	}
	if err != nil {
		return nil, errors.Join(&fault.Error{Op: "start etcd", Subject: o.Dir, Err: err}, m.close())
	}
	return m, nil
}

func (m *member) acquire() (err error) {
	o := m.options
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return &fault.Error{Op: opRun, Kind: fault.Unavailable, Subject: o.Dir, Err: err}
	}
	if m.lock, err = supervise.LockDir(o.Dir); err != nil {
		return err
	}
	credentials, err := identity.LoadCredentials(o.Credentials)
	if err != nil {
		return err
	}
	if credentials.Node.Role != identity.Hub || credentials.Node.ID != o.Name {
		return fault.New(opRun, fault.Invalid, o.Credentials, "these are the credentials of "+credentials.Node.URI()+", not of hub "+o.Name)
	}
	m.source = identity.NewSource(credentials)
	m.trust = identity.NewTrust(credentials.Node.Domain, credentials.Root)
	if err := m.addFront(o.Listen, clientSocket(o.Dir), true); err != nil {
		return err
	}
	if len(o.Members) > 0 {
		return m.addFront(o.PeerListen, peerSocket(o.Dir), false)
	}
	return nil
}

func (m *member) addFront(address, socket string, grpc bool) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return &fault.Error{Op: "listen for the directory", Kind: fault.Unavailable, Subject: address, Err: err}
	}
	config := identity.ServerTLS(m.source, m.trust, identity.Hub)
	if grpc {
		config = withHTTP2(config)
	}
	m.fronts = append(m.fronts, newFront(listener, config, socket, m.trust, m.options.Logger))
	return nil
}

// run serves until ctx ends or something breaks.
func (m *member) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := make(chan error, len(m.fronts))
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel() // before the wait
	for _, f := range m.fronts {
		tasks.Go(func() {
			if err := f.run(ctx); err != nil {
				broken <- err
			}
		})
	}
	tasks.Go(func() { m.follow(ctx) })
	tasks.Go(func() { m.announce(ctx) })
	select {
	case <-ctx.Done():
		return nil
	case err := <-broken:
		return err
	case err := <-m.etcd.Err():
		return &fault.Error{Op: opRun, Kind: fault.Unavailable, Subject: m.options.Dir, Err: err}
	case <-m.etcd.Server.StopNotify():
		return fault.New(opRun, fault.Unavailable, m.options.Dir, "etcd stopped by itself: the lines before say why")
	}
}

// announce tells when the member serves, and says so in the log while it does not.
func (m *member) announce(ctx context.Context) {
	late := time.NewTicker(startPatience)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.etcd.Server.ReadyNotify():
			m.options.Logger.InfoContext(ctx, "directory serves", slog.String("address", m.fronts[0].listener.Addr().String()))
			m.options.Ready(m.fronts[0].listener.Addr().String())
			return
		case <-late.C:
			m.options.Logger.WarnContext(ctx, "directory waits for other members", slog.Int("members", len(m.options.Members)))
		}
	}
}

// close gives back what open took, last first.
func (m *member) close() error {
	m.ending.Store(true)
	if m.etcd != nil {
		m.etcd.Close()
	}
	var failures []error
	for _, f := range m.fronts {
		if err := f.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			failures = append(failures, err)
		}
	}
	if m.lock != nil {
		failures = append(failures, m.lock.Release())
	}
	return errors.Join(failures...)
}

func clientSocket(dir string) string { return filepath.Join(dir, "client.sock") }
func peerSocket(dir string) string   { return filepath.Join(dir, "peer.sock") }
