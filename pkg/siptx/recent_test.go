package siptx

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// TestRepeatedInviteIsNotRefused: the repetition of an INVITE that waits in a full queue gets no 503, which
// would end it at its caller while the callee is about to ring.
func TestRepeatedInviteIsNotRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Queue: 8}) // not running: 6 for anybody, 2 kept
		first := withCallID(request("INVITE", branchA, "", 1), "first")
		r.receive(udpFlow(), first)
		for i := range 5 {
			r.receive(udpFlow(), withCallID(request("INVITE", branchA, "", 1), fmt.Sprint("next", i)))
		}
		r.receive(udpFlow(), first)
		expect(t, "sent", r.starts())
		r.receive(udpFlow(), withCallID(request("INVITE", branchA, "", 1), "new"))
		expect(t, "sent", r.starts(), "SIP/2.0 503 Service Unavailable")
		if stats := r.stack.Stats(); stats.Overload != 1 || stats.Repeated != 1 {
			t.Errorf("%d refused, %d repeated", stats.Overload, stats.Repeated)
		}
	})
}
