package siptx

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// badWire carries messages between two stacks and loses, doubles, delays and reorders them.
type badWire struct {
	to *Stack
	mu struct {
		sync.Mutex
		random *rand.Rand
	}
}

func (b *badWire) Send(flow siptransport.Flow, msg []byte, _ func(error)) error {
	flow.Local, flow.Remote = flow.Remote, flow.Local
	text := string(msg)
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.mu.random
	for range 1 + max(0, r.IntN(20)-18) { // 5 % come twice
		if r.IntN(10) == 0 { // 10 % are lost
			continue
		}
		delay := time.Duration(r.IntN(300)) * time.Millisecond
		time.AfterFunc(delay, func() { b.to.Receive(inbound(flow, text)) })
	}
	return nil
}

// caller runs one call of the test: INVITE, perhaps CANCEL, ACK, BYE.
type caller struct {
	w        *Worker
	id       string
	cancelAt time.Duration
	invite   []byte
	finals   []int
	ends     int // of the INVITE
	byeEnds  int
	timeouts int
	byes     int
	acks     int
}

func (c *caller) request(method string, branch Branch, cseq int, toTag string) []byte {
	if toTag != "" {
		toTag = ";tag=" + toTag
	}
	return []byte(message(
		method+" sip:200@192.0.2.9 SIP/2.0",
		"Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch="+branch.String(),
		"From: <sip:100@example.org>;tag="+c.id,
		"To: <sip:200@example.org>"+toTag,
		"Call-ID: "+c.id,
		fmt.Sprintf("CSeq: %d %s", cseq, method),
		"Max-Forwards: 70"))
}

func (c *caller) start() {
	c.id = c.w.NewCallID()
	branch := c.w.NewBranch()
	c.invite = c.request("INVITE", branch, 1, "")
	tx := c.w.SendRequest(udpFlow(), "INVITE", branch, c.invite, c)
	if c.cancelAt > 0 {
		c.w.After(c.cancelAt, func() { tx.Cancel(nil) })
	}
}

func (c *caller) OnResponse(tx *ClientTx, res *Response) {
	status := res.StatusCode
	if status < 200 {
		return
	}
	if tx.Method() != "INVITE" {
		c.byeEnds++
		return
	}
	c.finals = append(c.finals, status)
	if len(c.finals) == 1 {
		c.ends++
	}
	if status != 200 {
		return
	}
	tag := string(res.Head.ToTag.Of(res.Raw))
	c.acks++
	c.w.SendRaw(udpFlow(), c.request("ACK", c.w.NewBranch(), 1, tag))
	if c.acks == 1 {
		c.w.After(3*time.Second, func() {
			c.byes++
			b := c.w.NewBranch()
			c.w.SendRequest(udpFlow(), "BYE", b, c.request("BYE", b, 2, tag), c)
		})
	}
}

func (c *caller) OnTimeout(tx *ClientTx) {
	c.timeouts++
	if tx.Method() == "INVITE" {
		c.ends++
	} else {
		c.byeEnds++
	}
}

func (c *caller) OnSendError(*ClientTx, error) { panic("the wire gives no errors") }

// callee answers calls after a while.
type callee struct {
	user
	random *rand.Rand
	calls  map[string]*ServerTx
	noAcks int
	twice  int
	seen   map[string]bool
}

func (c *callee) Request(tx *ServerTx, req *Request) {
	key := string(*req.CallID()) + string(req.Method)
	if c.seen[key] {
		c.twice++
	}
	c.seen[key] = true
	if tx.Method() != "INVITE" {
		reply(tx, 200)
		return
	}
	c.calls[string(*req.CallID())] = tx
	tx.OnNoAck(func() { c.noAcks++ })
	c.w.After(time.Duration(c.random.IntN(2000))*time.Millisecond, func() { reply(tx, 180) })
	status := 200
	if c.random.IntN(3) == 0 {
		status = 486
	}
	c.w.After(time.Duration(c.random.IntN(8000))*time.Millisecond, func() { reply(tx, status) })
}

func (c *callee) Cancel(tx *ServerTx, _ *Request) { reply(tx, 487) }

func (c *callee) Ack(req *Request) {
	if tx := c.calls[string(*req.CallID())]; tx != nil {
		tx.Acked()
	}
}

// TestLoss runs calls over a bad wire: every transaction ends, once, and nothing stays.
func TestLoss(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { runLoss(t, seed) })
		})
	}
}

func runLoss(t *testing.T, seed uint64) {
	t.Helper()
	there, back := &badWire{}, &badWire{}
	there.mu.random = rand.New(rand.NewPCG(seed, 1))
	back.mu.random = rand.New(rand.NewPCG(seed, 2))
	var callees []*callee
	ours, err := New(Options{Workers: 2, Sender: there, NewHandler: func(w *Worker) Handler { return &user{w: w} }})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := New(Options{Workers: 2, Sender: back, NewHandler: func(w *Worker) Handler {
		c := &callee{
			user: user{w: w}, random: rand.New(rand.NewPCG(seed, 3)),
			calls: make(map[string]*ServerTx), seen: make(map[string]bool),
		}
		callees = append(callees, c)
		return c
	}})
	if err != nil {
		t.Fatal(err)
	}
	there.to, back.to = theirs, ours
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, s := range []*Stack{ours, theirs} {
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	callers := startCallers(t, ours, seed)
	sleep(5 * time.Minute)
	checkCallers(t, callers)
	for _, c := range callees {
		if c.twice > 0 {
			t.Errorf("%d requests came to the user twice", c.twice)
		}
		if c.noAcks > 2 {
			t.Errorf("%d calls without an ACK", c.noAcks)
		}
	}
	for _, s := range []*Stack{ours, theirs} {
		(&rig{t: t, stack: s}).empty()
	}
	stop()
	running.Wait()
}

func startCallers(t *testing.T, s *Stack, seed uint64) []*caller {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 4))
	var callers []*caller
	for i := range 100 {
		c := &caller{w: s.Worker(i % s.Workers())}
		if random.IntN(3) == 0 {
			c.cancelAt = time.Duration(random.IntN(5000)) * time.Millisecond
		}
		callers = append(callers, c)
		if err := c.w.Post(c.start); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(random.IntN(50)) * time.Millisecond)
	}
	return callers
}

func checkCallers(t *testing.T, callers []*caller) {
	t.Helper()
	outcomes := make(map[int]int)
	for _, c := range callers {
		if c.ends != 1 || c.byeEnds != c.byes {
			t.Errorf("call %s: %d ends %v, %d BYEs with %d ends", c.id, c.ends, c.finals, c.byes, c.byeEnds)
		}
		for _, f := range c.finals {
			if f != c.finals[0] {
				t.Errorf("call %s: finals %v", c.id, c.finals)
			}
		}
		if len(c.finals) > 0 {
			outcomes[c.finals[0]]++
		}
		outcomes[0] += c.timeouts
	}
	if outcomes[200] < 20 || outcomes[486] < 10 || outcomes[487] < 5 || outcomes[0] > 3 {
		t.Errorf("outcomes %v", outcomes)
	}
}
