package admin

import (
	"context"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/lmss/store"
)

// audit is the record of one change: who did what, and the object before and after, as JSON without
// secrets. A nil message means that there was, or is, none.
func audit(ctx context.Context, what string, before, after proto.Message) (store.Audit, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return store.Audit{}, err
	}
	record := store.Audit{At: time.Now(), Who: caller.String(), What: what}
	if record.Before, err = auditText(before); err != nil {
		return store.Audit{}, err
	}
	record.After, err = auditText(after)
	return record, err
}

func auditText(m proto.Message) (string, error) {
	if m == nil {
		return "", nil
	}
	text, err := protojson.Marshal(m)
	return string(text), err
}
