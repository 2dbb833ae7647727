package discovery

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/fault"
)

const (
	// leaseTTL is how long a dead hub's entry stays, in seconds.
	leaseTTL       = 15
	lookAfterEntry = leaseTTL * time.Second / 3
	withdrawLimit  = time.Second
)

// register keeps this hub's entry in the directory: lease, entry, keepalive; and all again when the lease was
// lost or the entry is missing. A lease that nobody kept alive while the quorum was gone is lost some
// seconds after the quorum is back.
func (d *Directory) register(ctx context.Context) {
	var last string
	for ctx.Err() == nil {
		err := d.holdEntry(ctx)
		d.setRegistered(false)
		if ctx.Err() != nil {
			return
		}
		level := slog.LevelWarn
		if err.Error() == last { // a long outage is one line
			level = slog.LevelDebug
		}
		last = err.Error()
		d.options.Logger.LogAttrs(ctx, level, "this hub is not in the directory", slog.Any("error", err))
		wait(ctx, retryPause+rand.N(retryPause)) //nolint:gosec // spreading load, no secret
	}
}

// holdEntry puts the entry and keeps it until it is lost, or ctx ends: then it takes it away.
func (d *Directory) holdEntry(ctx context.Context) error {
	client := d.options.Client
	lease, err := d.grant(ctx)
	if err != nil {
		return err
	}
	defer d.withdraw(lease)
	if err := d.putEntry(ctx, lease); err != nil {
		return err
	}
	alive, err := client.KeepAlive(ctx, lease)
	if err != nil {
		return err
	}
	d.setRegistered(true)
	look := time.NewTicker(lookAfterEntry)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r, ok := <-alive:
			if !ok || r.TTL <= 0 {
				return fault.New("keep hub's entry", fault.Unavailable, "", "the lease is lost")
			}
		case <-d.selfChanged:
			err = d.putEntry(ctx, lease)
		case <-look.C:
			err = d.checkEntry(ctx, lease)
		}
		if err != nil {
			return err
		}
	}
}

func (d *Directory) grant(ctx context.Context) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	got, err := d.options.Client.Grant(ctx, leaseTTL)
	if err != nil {
		return 0, err
	}
	return got.ID, nil
}

// withdraw ends the lease, and with it the entry, if the entry is still this lease's.
func (d *Directory) withdraw(lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), withdrawLimit)
	defer cancel()
	if _, err := d.options.Client.Revoke(ctx, lease); err != nil {
		d.options.Logger.Debug("lease not given back: it ends by itself", slog.Any("error", err))
	}
}

func (d *Directory) putEntry(ctx context.Context, lease clientv3.LeaseID) error {
	self := d.self()
	if err := self.validate(); err != nil {
		return err
	}
	text, err := json.Marshal(self)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	key := nodesPrefix + string(self.ID)
	got, err := d.options.Client.Get(ctx, key)
	if err != nil {
		return err
	}
	var revision int64
	if len(got.Kvs) > 0 {
		revision = got.Kvs[0].ModRevision
		if err := newerSelf(&self, got.Kvs[0].Value); err != nil {
			return err
		}
	}
	put, err := d.options.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, string(text), clientv3.WithLease(lease))).Commit()
	if err == nil && !put.Succeeded {
		err = fault.New("put hub's entry", fault.Conflict, key, "somebody else wrote it at the same time")
	}
	return err
}

// newerSelf refuses to replace the entry of a later start of the same hub: two processes with one identity
// would push each other out for ever.
func newerSelf(self *Hub, value []byte) error {
	var other Hub
	if err := json.Unmarshal(value, &other); err != nil || other.Epoch <= self.Epoch {
		return nil //nolint:nilerr // an entry that cannot be read is replaced
	}
	return fault.New("put hub's entry", fault.Conflict, string(self.ID),
		"a later start of this hub is registered at "+other.GRPC+": two processes have this hub's identity")
}

// checkEntry wants the entry to be there, under this lease.
func (d *Directory) checkEntry(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	got, err := d.options.Client.Get(ctx, nodesPrefix+string(d.self().ID))
	if err != nil {
		return nil // out of reach is no reason to give up a lease: the keepalive decides
	}
	if len(got.Kvs) == 0 || clientv3.LeaseID(got.Kvs[0].Lease) != lease {
		return fault.New("keep hub's entry", fault.Unavailable, "", "the entry is missing or somebody else's")
	}
	return nil
}
