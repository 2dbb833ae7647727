package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/tracering"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

var flow = siptransport.Flow{
	Transport: siptransport.UDP,
	Local:     netip.MustParseAddrPort("192.0.2.1:5060"),
	Remote:    netip.MustParseAddrPort("192.0.2.9:5062"),
}

func callInfo(id string, setup time.Time) CallInfo {
	return CallInfo{
		ID: id, SessionID: "5e55", Phase: "up", Caller: "4001", Called: "4002\xff", Callee: "4002", SetupAt: setup, AnswerAt: setup,
		Legs: []LegInfo{{CallID: id + "-a", User: "4001", Flow: flow, State: "up", Held: true}, {CallID: id + "-b", User: "4002", Flow: flow, State: "up"}},
	}
}

func TestListCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.calls.set(nil, callInfo("young", s.now), callInfo("older", s.now.Add(-time.Hour)))
	client := lmssv1.NewCallsClient(s.conn)
	stream, err := client.ListCalls(t.Context(), &lmssv1.ListCallsRequest{})
	all := receive(t, stream, err)
	if len(all) != 2 || all[0].GetCall().GetId() != "older" {
		t.Fatalf("listed %v", all)
	}
	c := all[1].GetCall()
	if c.GetPhase() != "up" || c.GetRingAt() != nil || !c.GetAnswerAt().AsTime().Equal(s.now) || !c.GetLegs()[0].GetHeld() || c.GetLegs()[1].GetRemote() != "192.0.2.9:5062" {
		t.Errorf("call %v", c)
	}
	for name, want := range map[string]int{"4001": 2, "4002": 2, "nobody": 0} {
		stream, err = client.ListCalls(t.Context(), &lmssv1.ListCallsRequest{User: name})
		if got := receive(t, stream, err); len(got) != want {
			t.Errorf("%s takes part in %d calls, want %d", name, len(got), want)
		}
	}
	s.calls.set(errors.New("no answer"))
	if err := streamError(client.ListCalls(t.Context(), &lmssv1.ListCallsRequest{})); status.Code(err) != codes.Internal {
		t.Errorf("owners do not answer: %v", err)
	}
}

func TestHangupCall(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.calls.set(nil, callInfo("abcd1", s.now), callInfo("abcd2", s.now), callInfo("abcd", s.now))
	client := lmssv1.NewCallsClient(s.conn)
	for id, want := range map[string]codes.Code{"abc": codes.NotFound, "abcdx": codes.NotFound, "": codes.NotFound} {
		if _, err := client.HangupCall(t.Context(), &lmssv1.HangupCallRequest{Id: id}); status.Code(err) != want {
			t.Errorf("%q: %v, want %v", id, err, want)
		}
	}
	// The whole id wins over being the beginning of others; then abcd is ambiguous.
	for _, want := range []codes.Code{codes.OK, codes.InvalidArgument} {
		if _, err := client.HangupCall(t.Context(), &lmssv1.HangupCallRequest{Id: "abcd"}); status.Code(err) != want {
			t.Errorf("abcd: %v, want %v", err, want)
		}
	}
	audits := s.audits(t)
	if len(audits) != 1 || audits[0].What != "hang up call abcd" || !strings.Contains(audits[0].Before, "4001") {
		t.Errorf("audits %+v", audits)
	}
}

// addMessages puts an INVITE of each leg in the ring.
func (s *site) addMessages(id string) {
	for _, leg := range []string{"-a", "-b"} {
		s.trace.Add(0, leg == "-b", flow, s.now, fmt.Appendf(nil,
			"INVITE sip:4002@example.org SIP/2.0\r\nFrom: <sip:4001@example.org>\r\nTo: <sip:4002@example.org>\r\nCall-ID: %s%s\r\nAuthorization: Digest response=\"s3cret\"\r\n\r\n", id, leg))
	}
}

// A call is found by any of its names, live or ended, and its messages come without secrets.
func TestTraceCall(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.calls.set(nil, callInfo("live1", s.now))
	ended := cdr.Record{
		ID: "ended1", SessionID: "5e56", CallID: "ended1-a", LegCallIDs: []string{"ended1-b"}, Caller: "4001", SetupAt: s.now,
		Termination: federation.Termination{Class: federation.Completed},
	}
	closed := make(chan error, 1)
	if err := s.store.CloseCall("ended1", ended, func(err error) { closed <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"live1", "ended1", "other"} {
		s.addMessages(id)
	}
	client := lmssv1.NewCallsClient(s.conn)
	for id, want := range map[string]int{
		"live1": 2, "live": 2, "live1-b": 2, "5e55": 2, "ended1": 2, "ende": 2, "ended1-a": 2, "5e56": 2,
		"other-a": 1, // a dialog of no call that is known
	} {
		stream, err := client.TraceCall(t.Context(), &lmssv1.TraceCallRequest{Id: id})
		got := receive(t, stream, err)
		if len(got) != want {
			t.Errorf("%q: %d messages, want %d", id, len(got), want)
			continue
		}
		e := got[0].GetEntry()
		if strings.Contains(string(e.GetMessage()), "s3cret") || e.GetOut() || e.GetLocalName() != "london" || e.GetRemote() != "192.0.2.9:5062" {
			t.Errorf("%q: %v", id, e)
		}
	}
	for id, want := range map[string]codes.Code{"": codes.InvalidArgument, "nobody": codes.NotFound} {
		if err := streamError(client.TraceCall(t.Context(), &lmssv1.TraceCallRequest{Id: id})); status.Code(err) != want {
			t.Errorf("%q: %v, want %v", id, err, want)
		}
	}
}

// An empty trace has a reason, and each reason has its own words.
func TestTraceSaysWhyItIsEmpty(t *testing.T) {
	t.Parallel()
	for text, ring := range map[string]*tracering.Ring{"ring is off": nil, "have left the trace ring": tracering.New(1, 4096)} {
		s := newSite(t, func(o *Options) { o.Trace = ring })
		s.calls.set(nil, callInfo("live1", s.now))
		err := streamError(lmssv1.NewCallsClient(s.conn).TraceCall(t.Context(), &lmssv1.TraceCallRequest{Id: "live1"}))
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}

func TestListRecords(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	closed := make(chan error, 3)
	for i, caller := range []string{"4001", "4002", "4001"} {
		record := cdr.Record{
			ID: cdr.NewID(s.now), Caller: caller, Called: "4009", SetupAt: s.now.Add(time.Duration(i) * time.Hour), Status: 486,
			Termination: federation.Termination{Class: federation.Busy, Reason: "486 Busy Here", By: federation.ByCallee},
			CallerVoice: cdr.Voice{Sent: 5, Jitter: time.Millisecond},
		}
		if err := s.store.CloseCall(fmt.Sprint(i), record, func(err error) { closed <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
	}
	client := lmssv1.NewRecordsClient(s.conn)
	for name, c := range map[string]struct {
		req  *lmssv1.ListRecordsRequest
		want int
	}{
		"all":   {&lmssv1.ListRecordsRequest{}, 3},
		"user":  {&lmssv1.ListRecordsRequest{User: "4001"}, 2},
		"limit": {&lmssv1.ListRecordsRequest{Limit: 1}, 1},
		"since": {&lmssv1.ListRecordsRequest{Since: adminapi.Time(s.now.Add(time.Minute))}, 2},
		"until": {&lmssv1.ListRecordsRequest{Until: adminapi.Time(s.now.Add(time.Minute))}, 1},
	} {
		stream, err := client.ListRecords(t.Context(), c.req)
		got := receive(t, stream, err)
		if len(got) != c.want {
			t.Errorf("%s: %d records, want %d", name, len(got), c.want)
			continue
		}
		r := got[0].GetRecord()
		if r.GetEnd() != "busy" || r.GetReleasedBy() != "callee" || r.GetStatus() != 486 || r.GetAnswerAt() != nil || r.GetCallerVoice().GetSent() != 5 || r.GetCalleeVoice() != nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestListRegistrations(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.register(t, "4002", 5060)
	s.register(t, "4001", 5061)
	client := lmssv1.NewRegistrationsClient(s.conn)
	stream, err := client.ListRegistrations(t.Context(), &lmssv1.ListRegistrationsRequest{})
	all := receive(t, stream, err)
	if len(all) != 2 || all[0].GetRegistration().GetUser() != "4001" {
		t.Fatalf("listed %v", all)
	}
	r := all[0].GetRegistration()
	if r.GetSource() != "192.0.2.9:5061" || r.GetTransport() != "udp" || r.GetQ() != 1000 || r.GetUserAgent() != "phone\uFFFD" || r.GetContact() != "sip:4001@192.0.2.9:5061" {
		t.Errorf("registration %v", r)
	}
	stream, err = client.ListRegistrations(t.Context(), &lmssv1.ListRegistrationsRequest{User: "4002"})
	if one := receive(t, stream, err); len(one) != 1 {
		t.Errorf("listed %v", one)
	}
}

func TestGetStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.register(t, "4001", 5060)
	s.calls.set(nil, callInfo("live1", s.now))
	client := lmssv1.NewNodeClient(s.conn)
	m, err := client.GetStatus(t.Context(), &lmssv1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	st := m.GetStatus()
	if st.GetSite() != "london" || st.GetRegistrations() != 1 || st.GetCalls() != 1 || st.GetProcesses()[0].GetPid() == 0 || len(st.GetAlarms()) != 0 {
		t.Errorf("status %v", st)
	}
	var names []string
	for _, c := range st.GetCounters() {
		names = append(names, c.GetName())
	}
	if got := strings.Join(names, " "); got != "a b trace_bytes trace_dropped_total trace_size_bytes" {
		t.Errorf("counters %s", got)
	}
	s.calls.set(errors.New("worker 1 does not answer"))
	m, err = client.GetStatus(t.Context(), &lmssv1.GetStatusRequest{})
	if err != nil || len(m.GetStatus().GetAlarms()) != 1 {
		t.Errorf("owners do not answer: %v, %v", m.GetStatus().GetAlarms(), err)
	}
}

// A list that is longer than what is read at a time has every record once, the newest first, also of calls that began
// at the same moment.
func TestLongListOfRecords(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const all, wanted = 2*recordsAtATime + 300, 2*recordsAtATime + 200
	closed := make(chan error, all)
	for i := range all {
		record := cdr.Record{ID: cdr.ID(fmt.Sprintf("%06d", i)), Caller: "4001", SetupAt: s.now.Add(time.Duration(i/700) * time.Millisecond)}
		if err := s.store.CloseCall(fmt.Sprint(i), record, func(err error) { closed <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range all {
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
	}
	stream, err := lmssv1.NewRecordsClient(s.conn).ListRecords(t.Context(), &lmssv1.ListRecordsRequest{Limit: wanted})
	list := receive(t, stream, err)
	if len(list) != wanted {
		t.Errorf("%d records, want %d", len(list), wanted)
	}
	for i, m := range list {
		if want := fmt.Sprintf("%06d", all-1-i); m.GetRecord().GetId() != want {
			t.Fatalf("record %d is %s, want %s", i, m.GetRecord().GetId(), want)
		}
	}
}
