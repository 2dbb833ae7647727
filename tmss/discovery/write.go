package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
)

const (
	// writeLimit keeps the promise that a change without quorum is refused within 2 s, with room for a busy
	// machine; a healthy directory takes a first write within about 1 s.
	writeLimit = 1500 * time.Millisecond
	// seeLimit is how long a writer waits until the view has its own change.
	seeLimit = time.Second
)

// noQuorum is what an operator reads.
const noQuorum = "no quorum: a majority of the directory's members does not answer. Calls, registrations and route exchange go on; " +
	"nothing can be changed until it answers again. Look before you repeat this: it may still have arrived"

// refusal makes a fault of what a write got.
func refusal(op, subject string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return &fault.Error{Op: op, Kind: fault.Timeout, Subject: subject, Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrTimeout),
		errors.Is(err, rpctypes.ErrLeaderChanged), errors.Is(err, rpctypes.ErrTimeoutDueToConnectionLost),
		status.Code(err) == codes.Unavailable, status.Code(err) == codes.DeadlineExceeded:
		return fault.New(op, fault.Unavailable, subject, noQuorum)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fault.New(op, fault.Exhausted, subject, "the directory is full: compact and defragment it, then disarm its alarm")
	default:
		return &fault.Error{Op: op, Kind: fault.Unavailable, Subject: subject, Err: err}
	}
}

// PutSite makes or changes a site. site.Changed.Revision is the one that the caller saw; zero means that there
// must be none of this name. Kinds: Exists, Conflict (names who was first), NotFound, Invalid, Unavailable.
func (d *Directory) PutSite(ctx context.Context, site Site, by string) error {
	if err := site.validate(); err != nil {
		return err
	}
	seen := site.Changed.Revision
	site.Changed = Change{By: by, At: time.Now().UTC()}
	return d.put(ctx, "put site", sitesPrefix, string(site.ID), site, seen)
}

// DeleteSite removes a site as it was at the revision that the caller saw.
func (d *Directory) DeleteSite(ctx context.Context, id federation.SiteID, seen int64) error {
	return d.delete(ctx, "delete site", sitesPrefix, string(id), seen)
}

// PutRoute makes or changes a static route, as PutSite does.
func (d *Directory) PutRoute(ctx context.Context, route Route, by string) error {
	if err := route.validate(); err != nil {
		return err
	}
	seen := route.Changed.Revision
	route.Changed = Change{By: by, At: time.Now().UTC()}
	return d.put(ctx, "put route", routesPrefix, route.ID, route, seen)
}

// DeleteRoute removes a static route as it was at the revision that the caller saw.
func (d *Directory) DeleteRoute(ctx context.Context, id string, seen int64) error {
	return d.delete(ctx, "delete route", routesPrefix, id, seen)
}

// Revoke takes back all certificates that a node was given until now.
func (d *Directory) Revoke(ctx context.Context, node identity.Node, reason string) error {
	const op = "revoke node"
	if reason == "" {
		reason = "revoked"
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	got, err := d.options.Client.Get(ctx, RevocationsKey)
	if err != nil {
		return refusal(op, node.URI(), err)
	}
	var list identity.RevocationList
	var seen int64
	if len(got.Kvs) > 0 {
		seen = got.Kvs[0].ModRevision
		if err := json.Unmarshal(got.Kvs[0].Value, &list); err != nil {
			return &fault.Error{Op: op, Subject: RevocationsKey, Err: err}
		}
	}
	list = append(list.Without(node), identity.Revocation{Node: node.URI(), Before: time.Now().UTC(), Reason: reason})
	return d.put(ctx, op, RevocationsKey, "", list, seen)
}

// put writes a document if it is still as the caller saw it.
func (d *Directory) put(ctx context.Context, op, prefix, id string, document any, seen int64) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return d.change(ctx, op, prefix+id, id, seen, clientv3.OpPut(prefix+id, string(text)))
}

func (d *Directory) delete(ctx context.Context, op, prefix, id string, seen int64) error {
	if seen == 0 {
		return fault.New(op, fault.NotFound, id, "")
	}
	return d.change(ctx, op, prefix+id, id, seen, clientv3.OpDelete(prefix+id))
}

// change is one compare-and-write, which the caller's next look at the view shows.
func (d *Directory) change(ctx context.Context, op, key, id string, seen int64, then clientv3.Op) error {
	limited, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	done, err := d.options.Client.Txn(limited).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", seen)).
		Then(then).
		Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return refusal(op, id, err)
	}
	if !done.Succeeded {
		return conflict(op, id, seen, done)
	}
	d.see(ctx, done.Header.Revision)
	return nil
}

// conflict says who was first.
func conflict(op, id string, seen int64, done *clientv3.TxnResponse) error {
	found := done.Responses[0].GetResponseRange().GetKvs()
	if len(found) == 0 {
		return fault.New(op, fault.NotFound, id, "it was deleted meanwhile")
	}
	if seen == 0 {
		return fault.New(op, fault.Exists, id, "change it, or delete it first")
	}
	var document struct {
		Changed Change `json:"changed"`
	}
	who := "somebody"
	if json.Unmarshal(found[0].GetValue(), &document) == nil && document.Changed.By != "" {
		who = document.Changed.By + " at " + document.Changed.At.Format(time.RFC3339)
	}
	return fault.New(op, fault.Conflict, id, "it was changed meanwhile by "+who+": look at it again")
}

// see waits a moment until the view has a revision.
func (d *Directory) see(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, seeLimit)
	defer cancel()
	for {
		changed := d.Changed()
		if d.View().Revision >= revision {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
