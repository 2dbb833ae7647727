// Package ng asks an rtpengine to relay calls, in its own control protocol: a cookie and a bencoded dictionary in one
// datagram each way. It knows what a measurement needs and no more. Start at [Dial].
package ng

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/sdpedit"
)

const (
	answerTime = 500 * time.Millisecond // for one datagram
	tries      = 20                     // the server may still be starting
	room       = 65535
)

// Client speaks with one rtpengine. It is for one goroutine.
type Client struct {
	conn   *net.UDPConn
	cookie int
	buf    [room]byte
}

// Dial makes a client of the rtpengine at addr, from an address of this machine. The caller closes it.
func Dial(from netip.Addr, addr netip.AddrPort) (*Client, error) {
	local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("reach rtpengine: %w", err)
	}
	return &Client{conn: conn}, nil
}

// Close ends the client, not its calls.
func (c *Client) Close() error { return c.conn.Close() }

// Ping waits until the server answers.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.ask(ctx, map[string]any{"command": "ping"})
	return err
}

// Call leads a call through the relay, whose ends listen at a and b. It gives where the relay listens: a finds b at
// forA, and b finds a at forB.
func (c *Client) Call(ctx context.Context, id string, a, b netip.AddrPort) (forA, forB netip.AddrPort, err error) {
	if forB, err = c.describe(ctx, map[string]any{"command": "offer", "call-id": id, "from-tag": "a"}, a); err != nil {
		return forA, forB, err
	}
	forA, err = c.describe(ctx, map[string]any{"command": "answer", "call-id": id, "from-tag": "a", "to-tag": "b"}, b)
	return forA, forB, err
}

// describe tells the SDP of one end, and reads that for the other.
func (c *Client) describe(ctx context.Context, request map[string]any, end netip.AddrPort) (netip.AddrPort, error) {
	request["sdp"] = fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\n"+
		"m=audio %[2]d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n", end.Addr(), end.Port())
	request["flags"] = []string{"trust-address"} // the SDP's, not the one that this request comes from
	request["replace"] = []string{"origin"}
	request["ICE"] = "remove"
	answer, err := c.ask(ctx, request)
	if err != nil {
		return netip.AddrPort{}, err
	}
	text, _ := answer["sdp"].(string)
	sdp, err := sdpedit.Parse([]byte(text))
	if err != nil || len(sdp.Media) != 1 {
		return netip.AddrPort{}, fmt.Errorf("rtpengine: %v: no SDP with one line of media: %w", request["command"], errors.Join(err, errBencode))
	}
	return netip.AddrPortFrom(sdp.Media[0].Addr, uint16(sdp.Media[0].Port)), nil
}

// ask sends a request until it is answered.
func (c *Client) ask(ctx context.Context, request map[string]any) (map[string]any, error) {
	c.cookie++
	cookie := strconv.Itoa(c.cookie)
	datagram := appendValue([]byte(cookie+" "), request)
	var err error
	for range tries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var answer []byte
		if answer, err = c.exchange(datagram, cookie); err == nil {
			return judge(request["command"], answer)
		}
	}
	return nil, fmt.Errorf("rtpengine: %v: no answer: %w", request["command"], err)
}

// exchange sends one datagram and waits for the one with its cookie.
func (c *Client) exchange(datagram []byte, cookie string) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(datagram); err != nil {
		return nil, err
	}
	for {
		n, err := c.conn.Read(c.buf[:])
		if err != nil {
			return nil, err
		}
		if got, rest, _ := strings.Cut(string(c.buf[:n]), " "); got == cookie {
			return []byte(rest), nil
		}
	}
}

// judge reads an answer, and makes a refusal an error.
func judge(command any, answer []byte) (map[string]any, error) {
	value, _, err := parseValue(answer, 0)
	if err != nil {
		return nil, fmt.Errorf("rtpengine: %v: %w: %q", command, err, answer)
	}
	dict, _ := value.(map[string]any)
	switch dict["result"] {
	case "ok", "pong":
		return dict, nil
	}
	return nil, fmt.Errorf("rtpengine: %v: refused: %v", command, dict["error-reason"])
}
