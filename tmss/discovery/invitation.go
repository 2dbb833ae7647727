package discovery

import (
	"context"
	"encoding/json"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/fault"
)

// Invite keeps what a join token is for, until the token expires.
func (d *Directory) Invite(ctx context.Context, hash string, invitation Invitation) error {
	const op = "store token"
	text, err := json.Marshal(invitation)
	if err != nil {
		return err
	}
	left := int64(time.Until(invitation.Expires) / time.Second)
	if left <= 0 {
		return fault.New(op, fault.Invalid, invitation.Node, "it has expired already")
	}
	limited, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	lease, err := d.options.Client.Grant(limited, left)
	if err != nil {
		return refusal(op, invitation.Node, err)
	}
	if _, err := d.options.Client.Put(limited, enrollPrefix+hash, string(text), clientv3.WithLease(lease.ID)); err != nil {
		return refusal(op, invitation.Node, err)
	}
	return nil
}

// Spend takes an invitation out of the directory if admit lets it pass. Of those who come with one token at
// once, one gets it. NotFound: it is unknown, spent or expired.
func (d *Directory) Spend(ctx context.Context, hash string, admit func(Invitation) error) (Invitation, error) {
	const op = "spend token"
	spent := fault.New(op, fault.NotFound, "", "the token is unknown, spent or expired: make a new one")
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	key := enrollPrefix + hash
	got, err := d.options.Client.Get(ctx, key)
	if err != nil {
		return Invitation{}, refusal(op, "", err)
	}
	if len(got.Kvs) == 0 {
		return Invitation{}, spent
	}
	var invitation Invitation
	if err := json.Unmarshal(got.Kvs[0].Value, &invitation); err != nil {
		return Invitation{}, &fault.Error{Op: op, Err: err}
	}
	if err := admit(invitation); err != nil {
		return invitation, err
	}
	done, err := d.options.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", got.Kvs[0].ModRevision)).
		Then(clientv3.OpDelete(key)).Commit()
	if err != nil {
		return invitation, refusal(op, "", err)
	}
	if !done.Succeeded {
		return invitation, spent
	}
	return invitation, nil
}
