package directory

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/tmss/discovery"
)

// followPace is how often the member looks for new credentials and revocations: a revoked hub is cut off well
// within a minute.
const followPace = 10 * time.Second

// follow keeps credentials and revocations current.
func (m *member) follow(ctx context.Context) {
	client := v3client.New(m.etcd.Server)
	defer client.Close()
	ticker := time.NewTicker(followPace)
	defer ticker.Stop()
	for {
		m.followRevocations(ctx, client)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m.followCredentials(ctx)
	}
}

func (m *member) followCredentials(ctx context.Context) {
	fresh, err := identity.LoadCredentials(m.options.Credentials)
	if err != nil {
		m.options.Logger.WarnContext(ctx, "credentials not read again", slog.Any("error", err))
		return
	}
	m.source.Set(fresh)
}

// followRevocations reads what this member knows, with or without a quorum.
func (m *member) followRevocations(ctx context.Context, client *clientv3.Client) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	got, err := client.Get(ctx, discovery.RevocationsKey, clientv3.WithSerializable())
	if err != nil || len(got.Kvs) == 0 {
		return // not started yet, or nobody was ever revoked
	}
	var list identity.RevocationList
	if err := json.Unmarshal(got.Kvs[0].Value, &list); err != nil {
		m.options.Logger.ErrorContext(ctx, "list of revocations not understood", slog.Any("error", err))
		return
	}
	m.trust.SetRevoked(list)
}
