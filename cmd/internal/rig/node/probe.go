package node

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

const probeWait = 50 * time.Millisecond

// NewAddress is a random address in 127.64.0.0/10, so that nodes of tests that run side by side do not meet. The whole
// of 127.0.0.0/8 is loopback on Linux.
func NewAddress() netip.Addr {
	// crypto/rand never fails on the systems that Go supports.
	v, _ := rand.Int(rand.Reader, big.NewInt(64*256*250))
	n := int(v.Int64())
	return netip.AddrFrom4([4]byte{127, byte(64 + n/250/256), byte(n / 250), byte(2 + n%250)})
}

// ports are where an office listens.
type ports struct{ udp, tcp, tls netip.AddrPort }

// freePorts finds ports that are free on addr now; a port other than 0 must be free for UDP and TCP, and the next one for
// TLS.
func freePorts(addr netip.Addr, port uint16) (free ports, err error) {
	secure := uint16(0)
	if port != 0 {
		secure = port + 1
	}
	u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	if err != nil {
		return free, fmt.Errorf("find a free port: %w", err)
	}
	defer u.Close()
	t, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	if err != nil {
		return free, fmt.Errorf("find a free port: %w", err)
	}
	defer t.Close()
	s, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, secure)))
	if err != nil {
		return free, fmt.Errorf("find a free port: %w", err)
	}
	defer s.Close()
	return ports{portOf(u.LocalAddr()), portOf(t.Addr()), portOf(s.Addr())}, nil
}

// freeTCP finds TCP ports that are free on addr now.
func freeTCP(addr netip.Addr, count int) (free []netip.AddrPort, err error) {
	for range count {
		t, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer t.Close() // not before the last is found, so that all differ
		free = append(free, portOf(t.Addr()))
	}
	return free, nil
}

func portOf(a net.Addr) netip.AddrPort {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return p
}

// options is a question that every SIP server answers.
func options(transport string, from, to netip.AddrPort) []byte {
	req := &sipmsg.Message{Method: "OPTIONS", URI: "sip:" + to.String()}
	req.Add("Via", "SIP/2.0/"+transport+" "+from.String()+";branch=z9hG4bK"+rand.Text()+";rport")
	req.Add("Max-Forwards", "70")
	req.Add("From", "<sip:probe@"+from.Addr().String()+">;tag="+rand.Text())
	req.Add("To", "<sip:"+to.String()+">")
	req.Add("Call-ID", rand.Text())
	req.Add("CSeq", "1 OPTIONS")
	return req.Bytes()
}

// probeUDP asks until there is an answer, whatever it says.
func probeUDP(ctx context.Context, to netip.AddrPort) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addr(), 0)))
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer conn.Close()
	buf := make([]byte, 65535)
	for ctx.Err() == nil {
		if _, err := conn.WriteToUDPAddrPort(options("UDP", portOf(conn.LocalAddr()), to), to); err != nil {
			return fmt.Errorf("probe %v: %w", to, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(probeWait)); err != nil {
			return fmt.Errorf("probe %v: %w", to, err)
		}
		if n, _, err := conn.ReadFromUDPAddrPort(buf); err == nil && strings.HasPrefix(string(buf[:n]), sipmsg.Version) {
			return nil
		}
	}
	return fmt.Errorf("no answer over UDP from %v: %w", to, ctx.Err())
}

// probeTCP connects and asks until there is an answer.
func probeTCP(ctx context.Context, to netip.AddrPort) error {
	for ctx.Err() == nil {
		if askTCP(ctx, to) == nil {
			return nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			break
		}
	}
	return fmt.Errorf("no answer over TCP from %v: %w", to, ctx.Err())
}

func askTCP(ctx context.Context, to netip.AddrPort) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * probeWait)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := conn.Write(options("TCP", portOf(conn.LocalAddr()), to)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = sipmsg.ReadFrom(bufio.NewReader(conn))
	return err
}
