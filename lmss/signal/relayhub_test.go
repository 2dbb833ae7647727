package signal

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/network/memnet"
)

// relayHub is a hub between two sites that forwards without state (RFC 3261 §16.11): what comes from the one goes
// to the other, as the real one does for what belongs to its transactions and dialogs. It can die, stop, and
// lose its connections.
type relayHub struct {
	t       *testing.T
	id      string
	addr    netip.AddrPort
	net     *memnet.Net
	config  *tls.Config
	running sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[string]net.Conn // by the site's name
	all      []net.Conn
	frozen   chan struct{}
}

func newRelayHub(t *testing.T, world *memnet.Net, domain *identitytest.Domain, id string, last byte) *relayHub {
	t.Helper()
	h := &relayHub{
		t: t, id: id, net: world, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 5061), conns: map[string]net.Conn{},
		config: identity.ServerTLS(domain.Source(t, identity.Hub, id), domain.Trust, identity.Site),
	}
	h.open()
	return h
}

func (h *relayHub) open() {
	ln, err := h.net.Host(h.addr.Addr()).ListenTCP(context.Background(), h.addr)
	if err != nil {
		h.t.Error(err)
		return
	}
	h.mu.Lock()
	h.listener = ln
	h.mu.Unlock()
	h.running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.all = append(h.all, conn)
			h.mu.Unlock()
			h.running.Go(func() { h.serve(tls.Server(conn, h.config)) })
		}
	})
}

// fail makes one of the faults happen.
func (h *relayHub) fail(fault string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if fault == "freeze" {
		h.frozen = make(chan struct{})
		return
	}
	if fault == "kill" {
		_ = h.listener.Close()
		h.listener = nil
	}
	for _, c := range h.all {
		_ = c.Close()
	}
	h.conns, h.all = map[string]net.Conn{}, nil
}

// heal undoes it.
func (h *relayHub) heal() {
	h.mu.Lock()
	dead := h.listener == nil
	if h.frozen != nil {
		close(h.frozen)
		h.frozen = nil
	}
	h.mu.Unlock()
	if dead {
		h.open()
	}
}

func (h *relayHub) close() {
	h.heal()
	h.fail("kill")
	h.running.Wait()
}

func (h *relayHub) pause() {
	h.mu.Lock()
	frozen := h.frozen
	h.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (h *relayHub) serve(conn *tls.Conn) {
	h.pause()
	if conn.HandshakeContext(context.Background()) != nil {
		return
	}
	node, err := identity.PeerNode(conn.ConnectionState())
	if err != nil {
		h.t.Error(err)
		return
	}
	h.mu.Lock()
	h.conns[node.ID] = conn
	h.mu.Unlock()
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		h.pause()
		if line == "\r\n" {
			h.write(node.ID, "\r\n")
			continue
		}
		msg, err := readMessage(r, line)
		if err != nil {
			return
		}
		h.forward(node.ID, string(msg))
	}
}

func (h *relayHub) write(site, text string) bool {
	h.mu.Lock()
	conn := h.conns[site]
	h.mu.Unlock()
	if conn == nil {
		return false
	}
	_, err := conn.Write([]byte(text))
	return err == nil
}

var (
	topVia = regexp.MustCompile(`Via: [^\r]*\r\n`)
	routes = regexp.MustCompile(`(?m)^Route: [^\r]*\r\n`)
	branch = regexp.MustCompile(`branch=z9hG4bK([^;\r]*)`)
	copied = regexp.MustCompile(`(?m)^(Via|From|To|Call-ID|CSeq): [^\r]*\r\n`)
)

// forward passes a message to the other site. A request that cannot be passed gets the hub's own answer.
func (h *relayHub) forward(from, msg string) {
	to := "london"
	if from == to {
		to = "paris"
	}
	if strings.HasPrefix(msg, "SIP/2.0 ") {
		at := topVia.FindStringIndex(msg)
		h.write(to, msg[:at[0]]+msg[at[1]:])
		return
	}
	first, rest, _ := strings.Cut(routes.ReplaceAllString(msg, ""), "\r\n")
	added := fmt.Sprintf("Via: SIP/2.0/TLS %s;branch=z9hG4bK%s%s\r\n", h.addr, h.id, branch.FindStringSubmatch(msg)[1])
	if strings.HasPrefix(msg, "INVITE ") {
		added += fmt.Sprintf("Record-Route: <sip:%s;transport=tls;lr;mss=h%s>\r\n", h.addr, h.id)
	}
	if h.write(to, first+"\r\n"+added+rest) || strings.HasPrefix(msg, "ACK ") {
		return
	}
	status := "480 Temporarily Unavailable"
	if regexp.MustCompile(`(?m)^To: .*;tag=`).MatchString(msg) {
		status = "503 Service Unavailable"
	}
	head := strings.Join(copied.FindAllString(msg, -1), "")
	h.write(from, "SIP/2.0 "+status+"\r\n"+head+"X-MSS-By: hub/"+h.id+"\r\nContent-Length: 0\r\n\r\n")
}
