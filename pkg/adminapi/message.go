package adminapi

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/mss-federation/mss/pkg/tracering"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// Time is absent for the zero time.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Address is empty for the zero address.
func Address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Text makes a stranger's bytes fit in a protobuf string, which must be UTF-8.
func Text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Counters are messages ordered by name.
func Counters(counters map[string]uint64) []*commonv1.Counter {
	list := make([]*commonv1.Counter, 0, len(counters))
	for name, value := range counters {
		list = append(list, &commonv1.Counter{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b *commonv1.Counter) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return list
}

// TraceCounters say how full a ring is.
func TraceCounters(ring *tracering.Ring) map[string]uint64 {
	used, size, dropped := ring.Usage()
	return map[string]uint64{"trace_bytes": uint64(used), "trace_dropped_total": dropped, "trace_size_bytes": uint64(size)}
}

// TraceEntry is one message of a trace; names gives the parties theirs.
func TraceEntry(e *tracering.Entry, names func(netip.AddrPort) string) *commonv1.TraceEntry {
	return &commonv1.TraceEntry{
		At: Time(e.At), Out: e.Out, Transport: e.Flow.Transport.Param(),
		Local: Address(e.Flow.Local), Remote: Address(e.Flow.Remote), FlowId: uint64(e.Flow.ID),
		CallId: Text(e.CallID), LocalName: names(e.Flow.Local), RemoteName: names(e.Flow.Remote),
		Message: e.Message,
	}
}
