package admin

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/pkg/adminapi"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// audit is the record of one change, as the store keeps it.
func audit(ctx context.Context, what string, before, after proto.Message) (store.Audit, error) {
	record, err := adminapi.NewRecord(ctx, what, before, after)
	return store.Audit(record), err
}

// change makes a change that the store does not keep. Its record is written before: nothing is changed unseen.
func (s *Server) change(ctx context.Context, what string, before, after proto.Message, do func() error) error {
	record, err := audit(ctx, what, before, after)
	if err != nil {
		return err
	}
	if err := s.options.Store.AppendAudit(record); err != nil {
		return err
	}
	return do()
}

// listAudits gives the records made at or after since.
func (s *Server) listAudits(since time.Time, limit int, each func(*commonv1.Audit) error) error {
	list, err := s.options.Audits.LoadAudit(limit)
	if err != nil {
		return err
	}
	for i := range list {
		record := adminapi.Record(list[i])
		if record.At.Before(since) {
			return nil
		}
		if err := each(adminapi.AuditMessage(&record, "")); err != nil {
			return err
		}
	}
	return nil
}
