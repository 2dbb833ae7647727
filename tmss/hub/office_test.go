package hub

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// callID is that of every call of these tests.
const callID = "call-1@192.0.2.9"

// office is a site as a hub sees it: an exchange session and a trunk, both real.
type office struct {
	t     *testing.T
	hub   *running
	node  identity.Node
	trunk *tls.Conn
	in    *bufio.Reader

	mu    sync.Mutex
	known []exchange.Hub
}

// office opens the trunk of a site.
func (r *running) office(name string) *office {
	r.t.Helper()
	o := &office{t: r.t, hub: r, node: r.domain.Node(identity.Site, name)}
	conn, err := tls.Dial("tcp", r.tls, o.config())
	if err != nil {
		r.t.Fatal(err)
	}
	o.trunk, o.in = conn, bufio.NewReader(conn)
	r.t.Cleanup(func() { _ = conn.Close() })
	return o
}

func (o *office) config() *tls.Config {
	d := o.hub.domain
	return identity.ClientTLS(d.Source(o.t, identity.Site, o.node.ID), d.Trust, d.Node(identity.Hub, o.hub.name))
}

// announce runs an exchange session until the test ends.
func (o *office) announce(prefix string) {
	o.t.Helper()
	n, err := federation.ParsePattern("example.org", prefix)
	if err != nil {
		o.t.Fatal(err)
	}
	book := exchange.NewBook(o.node.NodeID(), 7)
	book.Set(map[federation.NLRI]*federation.Attributes{n: {Origin: federation.Origin{Site: federation.SiteID(o.node.ID)}}})
	config := exchange.Config{Self: o.node.NodeID(), Domain: "example.org", Epoch: 7, Role: exchange.RoleBranch, Peer: federation.NodeID("hub/" + o.hub.name)}
	config.EnsureDefaults()
	conn, err := grpc.NewClient("passthrough:///"+o.hub.grpc, grpc.WithTransportCredentials(credentials.NewTLS(o.config())))
	if err != nil {
		o.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := exchangev1.NewExchangeClient(conn).Session(ctx)
	if err != nil {
		o.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = exchange.NewRunner(exchange.New(config, book), o).Run(ctx, stream) // how it ends is looked at from the hub's side
	}()
	o.t.Cleanup(func() { cancel(); <-done; _ = conn.Close() })
}

// Deliver ignores routes.
func (*office) Deliver([]exchange.Delta) {}

// Tell keeps the list of hubs.
func (o *office) Tell(a exchange.Action) {
	if learned, ok := a.(exchange.Learned); ok {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.known = learned.Hubs
	}
}

func (o *office) hubs() []exchange.Hub {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known
}

func (o *office) send(msg string) {
	o.t.Helper()
	if _, err := io.WriteString(o.trunk, msg); err != nil {
		o.t.Fatal(err)
	}
}

// read waits for a message that begins so; others are passed over. Messages here have no bodies.
func (o *office) read(begins string) string {
	o.t.Helper()
	for {
		msg, err := o.next()
		if err != nil {
			o.t.Fatalf("%s waits for %s: %v", o.node.ID, begins, err)
		}
		if strings.HasPrefix(msg, begins) {
			return msg
		}
		if !strings.HasPrefix(msg, "SIP/2.0 1") {
			o.t.Fatalf("%s waits for %s and gets\n%s", o.node.ID, begins, msg)
		}
	}
}

func (o *office) next() (string, error) { return o.within(patience) }

// within reads the next message if it comes in time.
func (o *office) within(d time.Duration) (string, error) {
	if err := o.trunk.SetReadDeadline(time.Now().Add(d)); err != nil {
		return "", err
	}
	var msg strings.Builder
	for {
		l, err := o.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if l == "\r\n" && msg.Len() == 0 {
			continue // a keep-alive
		}
		msg.WriteString(l)
		if l == "\r\n" {
			return msg.String(), nil
		}
	}
}

// closed waits until the hub has closed the trunk. It would close a silent one too, but not so soon.
func (o *office) closed() {
	o.t.Helper()
	if msg, err := o.within(3 * time.Second); !errors.Is(err, io.EOF) {
		o.t.Errorf("the trunk is still there: %q, %v", msg, err)
	}
}

// request is one of the caller's, 4001 in London.
func request(method, uri, branch, route string) string {
	cseq, toTag := "1", ""
	switch method {
	case "BYE":
		cseq, toTag = "2", ";tag=callee"
	case "ACK":
		toTag = ";tag=callee"
	}
	if route != "" {
		route += "\r\n"
	}
	return method + " " + uri + " SIP/2.0\r\n" +
		"Via: SIP/2.0/TLS 192.0.2.9:5061;branch=" + branch + "\r\n" + route +
		"Max-Forwards: 70\r\nFrom: <sip:4001@example.org>;tag=caller\r\nTo: <sip:1001@example.org>" + toTag + "\r\n" +
		"Call-ID: " + callID + "\r\nCSeq: " + cseq + " " + method + "\r\nContact: <sip:4001@192.0.2.9;transport=tls>\r\nContent-Length: 0\r\n\r\n"
}

// answer answers a request as 1001 in Hong Kong.
func answer(request, status string) string {
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for l := range strings.Lines(request) {
		name, _, _ := strings.Cut(l, ":")
		switch name {
		case "To":
			l = strings.TrimRight(l, "\r\n")
			if !strings.Contains(l, "tag=") {
				l += ";tag=callee"
			}
			b.WriteString(l + "\r\n")
		case "Via", "From", "Call-ID", "CSeq", "Record-Route":
			b.WriteString(l)
		}
	}
	return b.String() + "Contact: <sip:1001@192.0.2.10;transport=tls>\r\nContent-Length: 0\r\n\r\n"
}

// line is the first one that begins so, without its end.
func line(msg, begins string) string {
	for l := range strings.Lines(msg) {
		if strings.HasPrefix(l, begins) {
			return strings.TrimRight(l, "\r\n")
		}
	}
	return ""
}
