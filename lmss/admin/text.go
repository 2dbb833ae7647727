package admin

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// timeOf is the zero time for an absent one.
func timeOf(m *timestamppb.Timestamp) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.AsTime()
}
