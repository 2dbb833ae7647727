package siptransport

import (
	"cmp"
	"slices"
	"time"
)

// FlowInfo is one stream connection as an operator sees it.
type FlowInfo struct {
	Flow      Flow
	Since     time.Time
	BytesIn   uint64
	BytesOut  uint64
	Queued    int  // bytes that wait to be written
	Dialled   bool // opened by this process
	Connected bool // false while a dial is under way
	Kept      bool
}

// Flows lists the stream connections, oldest first.
func (e *Endpoint) Flows() []FlowInfo {
	e.mu.RLock()
	infos := make([]FlowInfo, 0, len(e.streams))
	for _, s := range e.streams {
		infos = append(infos, s.info())
	}
	e.mu.RUnlock()
	slices.SortFunc(infos, func(a, b FlowInfo) int { return cmp.Compare(a.Flow.ID, b.Flow.ID) })
	return infos
}

func (s *stream) info() FlowInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return FlowInfo{
		Flow:      s.flow,
		Since:     s.since,
		BytesIn:   s.in.Load(),
		BytesOut:  s.out.Load(),
		Queued:    len(s.queue.bytes) + s.queue.flying,
		Dialled:   s.dialled,
		Connected: s.conn != nil,
		Kept:      s.kept,
	}
}
