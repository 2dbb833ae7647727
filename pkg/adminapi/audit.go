package adminapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
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
	if err != nil {
		return "", err
	}
	var compact bytes.Buffer // protojson spaces its output differently from build to build
	err = json.Compact(&compact, text)
	return compact.String(), err
}

// DefaultAudits is how many audit records a list has that asks for no number.
const DefaultAudits = 100

// Audits serves mss.common.v1.Audits.
type Audits struct {
	commonv1.UnimplementedAuditsServer

	// List calls each with the records made at or after since, newest first, at most limit.
	List func(since time.Time, limit int, each func(*commonv1.Audit) error) error
}

// ListAudits gives records.
func (a *Audits) ListAudits(req *commonv1.ListAuditsRequest, stream grpc.ServerStreamingServer[commonv1.ListAuditsResponse]) error {
	var since time.Time
	if req.GetSince() != nil {
		since = req.GetSince().AsTime()
	}
	return a.List(since, int(cmp.Or(req.GetLimit(), DefaultAudits)), func(m *commonv1.Audit) error {
		return stream.Send(&commonv1.ListAuditsResponse{Audit: m})
	})
}

// AuditMessage is a record as it is shown.
func AuditMessage(r *Record, refused string) *commonv1.Audit {
	return &commonv1.Audit{At: Time(r.At), Who: Text(r.Who), What: Text(r.What), Before: Text(r.Before), After: Text(r.After), Refused: Text(refused)}
}
