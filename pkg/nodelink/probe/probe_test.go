package probe_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink/probe"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

var flow = siptransport.Flow{
	Transport: siptransport.UDP,
	Local:     netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.2:5060"),
}

// peer answers every question with a status, or never.
type peer struct {
	stack  *siptx.Stack
	status string
	asked  []string
}

func (p *peer) Send(to siptransport.Flow, msg []byte, _ func(error)) error {
	p.asked = append(p.asked, string(msg))
	if p.status == "" {
		return nil
	}
	_, rest, _ := strings.Cut(string(msg), "\r\n")
	answer := "SIP/2.0 " + p.status + " Text\r\n" + strings.Replace(rest, "Max-Forwards: 0\r\n", "", 1)
	p.stack.Receive(&siptransport.Inbound{Flow: to, Data: []byte(answer)})
	return nil
}

type nobody struct{}

func (nobody) Request(*siptx.ServerTx, *siptx.Request) {}
func (nobody) Cancel(*siptx.ServerTx, *siptx.Request)  {}
func (nobody) Ack(*siptx.Request)                      {}
func (nobody) Stray(*siptx.Response)                   {}
func (nobody) FlowClosed(siptransport.Flow, error)     {}

func TestAnswersAreHeard(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{"200": 1, "405": 1, "483": 1, "503": 0, "100": 0, "": 0} {
		synctest.Test(t, func(t *testing.T) {
			p := &peer{status: status}
			prober := probe.New(func(f siptransport.Flow) netip.AddrPort { return f.Local })
			stack, err := siptx.New(siptx.Options{Workers: 1, Sender: p, NewHandler: func(*siptx.Worker) siptx.Handler { return nobody{} }})
			if err != nil {
				t.Fatal(err)
			}
			p.stack = stack
			var heard []federation.NodeID
			prober.Attach(stack, func(node federation.NodeID) { heard = append(heard, node) })
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- stack.Run(ctx) }()
			prober.Ask("site/paris", flow)
			<-time.After(40 * time.Second)
			synctest.Wait()
			if len(heard) != want || want == 1 && heard[0] != "site/paris" {
				t.Errorf("%q is heard as %v", status, heard)
			}
			if !strings.HasPrefix(p.asked[0], "OPTIONS sip:192.0.2.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;") {
				t.Errorf("asked %s", p.asked[0])
			}
			if n := len(p.asked); status == "" && n > 3 {
				t.Errorf("asked %d times: a dead peer is asked again by the next probe", n)
			}
			if n := stack.Stats().Workers[0].Clients; n != 0 {
				t.Errorf("%d transactions are left", n)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
