package media

import (
	"net/netip"
	"testing"

	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

var (
	oldRTP = netip.MustParseAddrPort("192.0.2.1:4000")
	newRTP = netip.MustParseAddrPort("192.0.2.2:4000")
	source = netip.MustParseAddrPort("198.51.100.7:61000")
	own    = netip.MustParseAddr("127.0.0.1")
)

// whole is what the client would say on connecting.
func whole(c *Client) map[uint64]*mediav1.Endpoint {
	endpoints := make(map[uint64]*mediav1.Endpoint)
	_, batches := c.begin()
	for _, batch := range batches {
		for _, e := range batch.GetCommands()[0].GetSync().GetEndpoints() {
			endpoints[e.GetOpen().GetEndpoint()] = e
		}
	}
	return endpoints
}

// What was learned under one SDP says nothing about the next.
func TestNewAimForgetsWhatWasLearned(t *testing.T) {
	t.Parallel()
	c := Dial(ClientOptions{})
	c.Restore(EndpointSpec{ID: 1, Local: own, Port: 20000, Learned: source, Aim: Aim{RTP: oldRTP, Learn: LearnSource, Generation: 1}}, 0)
	if got := toAddress(whole(c)[1].GetLearned()); got != source {
		t.Errorf("learned %v, want %v", got, source)
	}
	c.Aim(1, Aim{RTP: oldRTP, Learn: LearnSource, Receive: true, Generation: 1})
	if got := toAddress(whole(c)[1].GetLearned()); got != source {
		t.Errorf("after the same SDP: learned %v, want %v", got, source)
	}
	c.Aim(1, Aim{RTP: newRTP, Learn: LearnSource, Generation: 2})
	e := whole(c)[1]
	if e.GetLearned() != nil || toAddress(e.GetOpen().GetAim().GetRtp()) != newRTP {
		t.Errorf("after new SDP: %v", e)
	}
}

func TestMirrorOfJoins(t *testing.T) {
	t.Parallel()
	c := Dial(ClientOptions{})
	for id := range uint64(4) {
		c.Restore(EndpointSpec{ID: id + 1, Local: own}, 0)
	}
	check := func(step string, want ...uint64) {
		t.Helper()
		endpoints := whole(c)
		for i, peer := range want {
			if e := endpoints[uint64(i+1)]; e != nil && e.GetPeer() != peer {
				t.Errorf("%s: endpoint %d has peer %d, want %d", step, i+1, e.GetPeer(), peer)
			}
		}
	}
	c.Join(1, 2)
	c.Join(3, 4)
	check("two calls", 2, 1, 4, 3)
	c.Join(1, 4)
	check("transfer", 4, 0, 0, 1)
	c.Join(1, 0)
	check("left alone", 0, 0, 0, 0)
	c.Join(1, 2)
	c.Close(2, nil)
	check("peer closed", 0, 0, 0, 0)
	if len(whole(c)) != 3 {
		t.Errorf("%d endpoints", len(whole(c)))
	}
}

// A Sync of many endpoints goes in parts that gRPC takes.
func TestSyncIsCutIntoParts(t *testing.T) {
	t.Parallel()
	c := Dial(ClientOptions{})
	for id := range uint64(2*syncChunk + 1) {
		c.Restore(EndpointSpec{ID: id + 1, Local: own}, 0)
	}
	_, batches := c.begin()
	if len(batches) != 3 {
		t.Fatalf("%d parts", len(batches))
	}
	for i, batch := range batches {
		if more := batch.GetCommands()[0].GetSync().GetMore(); more != (i < 2) {
			t.Errorf("part %d: more %v", i, more)
		}
	}
	if len(whole(c)) != 2*syncChunk+1 {
		t.Errorf("%d endpoints", len(whole(c)))
	}
}

func TestWireKeepsEverything(t *testing.T) {
	t.Parallel()
	aim := Aim{RTP: oldRTP, RTCP: newRTP, Learn: LearnSource, Send: true, Receive: true, Generation: 7, ClockRate: 48000, PayloadTypes: map[uint8]uint8{101: 96}, Keepalive: true}
	got := toAim(fromAim(1, &aim))
	if got.PayloadTypes[101] != 96 || len(got.PayloadTypes) != 1 {
		t.Errorf("payload types %v", got.PayloadTypes)
	}
	got.PayloadTypes, aim.PayloadTypes = nil, nil
	if got.RTP != aim.RTP || got.RTCP != aim.RTCP || got.Learn != aim.Learn || got.Generation != 7 || got.ClockRate != 48000 || !got.Send || !got.Receive {
		t.Errorf("aim %+v", got)
	}
	r := Report{Endpoint: 1, Found: true, Final: true, PacketsIn: 2, BytesIn: 3, RTCPIn: 4, PacketsOut: 5, BytesOut: 6, RTCPOut: 7, Lost: 8, Jitter: 9000, SSRCChanges: 10, Source: oldRTP}
	for i := range r.Dropped {
		r.Dropped[i] = uint64(i) + 20
	}
	if got := toReport(fromReport(1, &r)); got != r {
		t.Errorf("report %+v, want %+v", got, r)
	}
}

// Whoever waits on a stream that ends is answered then, not when its patience is over.
func TestStreamEndAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	c := Dial(ClientOptions{})
	c.Restore(EndpointSpec{ID: 1, Local: own, Port: 20000}, 0)
	older, _ := c.begin()
	var got []Report
	c.Close(1, func(r Report) { got = append(got, r) })
	newer, _ := c.begin()
	c.Close(2, func(r Report) { got = append(got, r) })
	c.handle(incoming{stream: older})
	c.callBack()
	if len(got) != 1 || got[0].Endpoint != 1 || !got[0].Final || got[0].Found {
		t.Fatalf("after the first stream: %+v", got)
	}
	c.handle(incoming{stream: newer})
	c.callBack()
	if len(got) != 2 || got[1].Endpoint != 2 {
		t.Errorf("after the second stream: %+v", got)
	}
}
