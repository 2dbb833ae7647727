package admin

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/pkg/adminapi"
)

// audit is the record of one change, as the store keeps it.
func audit(ctx context.Context, what string, before, after proto.Message) (store.Audit, error) {
	record, err := adminapi.NewRecord(ctx, what, before, after)
	return store.Audit(record), err
}
