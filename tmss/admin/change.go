package admin

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/adminapi"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// change makes one change: its record is on the disk first, so that no change is without one; one that failed gets a
// second record that says so.
func (a *API) change(ctx context.Context, what string, before, after proto.Message, do func(by string) error) error {
	record, err := adminapi.NewRecord(ctx, what, before, after)
	if err != nil {
		return err
	}
	if err := a.options.Audit.Append(record); err != nil {
		return err
	}
	if err := do(record.Who); err != nil {
		return errors.Join(err, a.options.Audit.Refuse(record, err))
	}
	return nil
}

// listAudits gives the records made at or after since.
func (a *API) listAudits(since time.Time, limit int, each func(*commonv1.Audit) error) error {
	return a.options.Audit.List(since, limit, func(record adminapi.Record, refused string) error {
		return each(adminapi.AuditMessage(&record, refused))
	})
}
