package adminapi

import (
	"context"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Record is what is kept of one change: who did what when, and the object before and after, as JSON without
// secrets; empty where there was, or is, none.
type Record struct {
	At            time.Time
	Who           string
	What          string
	Before, After string
}

// NewRecord makes the record of a change by whoever makes this request. A nil message means that there was,
// or is, no object.
func NewRecord(ctx context.Context, what string, before, after proto.Message) (Record, error) {
	caller, err := CallerOf(ctx)
	if err != nil {
		return Record{}, err
	}
	record := Record{At: time.Now(), Who: caller.String(), What: what}
	if record.Before, err = objectText(before); err != nil {
		return Record{}, err
	}
	record.After, err = objectText(after)
	return record, err
}

func objectText(m proto.Message) (string, error) {
	if m == nil {
		return "", nil
	}
	text, err := protojson.Marshal(m)
	return string(text), err
}
