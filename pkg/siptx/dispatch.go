package siptx

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

const (
	// unlimited is for entries whose number others bound.
	unlimited = math.MaxInt
	// ageless is for messages that are taken however long others wait.
	ageless = time.Duration(math.MaxInt64)
)

// callIDRandom is the length of the random part of our own Call-IDs, 128 bits in base32.
const callIDRandom = 26

// Receive takes a message from a reader and hands it to the worker of its Call-ID. It never blocks. What has
// no Call-ID goes to worker 0, whose gate refuses it.
func (s *Stack) Receive(in *siptransport.Inbound) {
	defer s.guard()
	home := 0
	if id, ok := sipgate.CallID(in.Data); ok {
		home = s.home(id)
	}
	w := s.workers[home]
	var invite uint64
	if isInvite(in.Data) {
		invite = w.recent.hash(in.Data) // now: the worker may release the bytes as soon as it has them
	}
	if !w.queue.offer(entry{in: in}, s.options.Queue-s.options.Queue/4, s.options.MaxWait) {
		s.congested(w, in, invite)
	} else if invite != 0 {
		w.recent.add(invite, time.Now())
	}
}

// home is the number that one of our own Call-IDs ends in, or what the hash of a foreign one says.
func (s *Stack) home(callID []byte) int {
	if len(s.workers) == 1 {
		return 0
	}
	if i, ok := ownWorker(callID); ok {
		return i % len(s.workers)
	}
	return int(maphash.Bytes(s.seed, callID) % uint64(len(s.workers)))
}

// ownWorker reads the worker's number from a Call-ID that [Worker.NewCallID] made. Others that look alike
// are no harm: their messages meet on one worker all the same.
func ownWorker(callID []byte) (int, bool) {
	if len(callID) < callIDRandom+2 || len(callID) > callIDRandom+4 || callID[callIDRandom] != '.' {
		return 0, false
	}
	n := 0
	for _, c := range callID[callIDRandom+1:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// congested decides about a message that found three quarters of the queue taken, or too old, or the stack
// stopped.
func (s *Stack) congested(w *Worker, in *siptransport.Inbound, invite uint64) {
	h := heads.Get().(*sipgate.Head)
	defer heads.Put(h)
	msg := sipgate.Normalise(in.Data)
	refusal := sipgate.Scan(msg, h)
	if refusal == nil && reserved(h) {
		in.Data = msg
		if w.queue.offer(entry{in: in}, s.options.Queue, ageless) {
			return
		}
		s.metrics.lost.Add(1)
	} else if refusal == nil && invite != 0 && w.recent.has(invite) {
		s.metrics.repeated.Add(1)
	} else if refusal == nil {
		s.metrics.overload.Add(1)
		s.refuseBusy(msg, h, in.Flow)
	} else {
		s.metrics.lost.Add(1)
	}
	in.Release()
}

var heads = sync.Pool{New: func() any { return new(sipgate.Head) }}

// reserved says whether the message belongs to something that exists already: it is never refused, at worst
// it is lost and comes again.
func reserved(h *sipgate.Head) bool {
	return !h.Request || h.Method == "ACK" || h.Method == "CANCEL" || h.Method == "BYE" || h.ToTag.Present()
}

// refuseBusy answers a new request for the worker that has no time for it.
func (s *Stack) refuseBusy(msg []byte, h *sipgate.Head, flow siptransport.Flow) {
	var scratch [1024]byte
	out := s.appendBusy(scratch[:0], msg, h, flow)
	if err := s.options.Sender.Send(replyFlow(msg, h, flow), out, s.sendFailed); err != nil {
		s.sendFailed(err)
	}
}

// appendBusy appends a stateless 503 (RFC 3261 §21.5.4). The random Retry-After keeps the callers from coming
// back together.
func (s *Stack) appendBusy(dst, msg []byte, h *sipgate.Head, flow siptransport.Flow) []byte {
	dst = s.appendStateless(dst, msg, h, flow, 503, "")
	dst = append(dst, "Retry-After: "...)
	dst = strconv.AppendInt(dst, 1+rand.Int64N(5), 10)
	dst = append(dst, "\r\n"...)
	return append(dst, noBody...)
}

func (s *Stack) sendFailed(error) { s.metrics.unsent.Add(1) }
