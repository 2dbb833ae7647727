package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/tracering"
)

// traced is one message of a node's trace ring, as mssctl prints it.
type traced struct {
	At         time.Time      `json:"at"`
	Out        bool           `json:"out"`
	Local      netip.AddrPort `json:"local"`
	LocalName  string         `json:"local_name"`
	Remote     netip.AddrPort `json:"remote"`
	RemoteName string         `json:"remote_name"`
	CallID     string         `json:"call_id"`
	Message    string         `json:"message"`
}

// way is between whom a message went.
func (m *traced) way() (from, to netip.AddrPort) {
	if m.Out {
		return m.Local, m.Remote
	}
	return m.Remote, m.Local
}

// journey is a call's messages from the trace rings of all nodes on its way.
type journey struct {
	messages []traced
	names    map[netip.AddrPort]string
	twice    int // messages that both their sender and their receiver traced
}

// trace asks each node for its own messages of the call.
func (d *demonstration) trace(ctx context.Context) (*journey, error) {
	j := &journey{names: map[netip.AddrPort]string{}}
	first, err := traceOf(ctx, d.london, d.call.out.ID())
	if err != nil {
		return nil, err
	}
	j.messages = first
	for _, n := range d.wayToHongKong() {
		more, err := traceOf(ctx, n, d.session)
		if err != nil {
			return nil, err
		}
		if session, err := sessionOf(more); err != nil || session != d.session {
			return nil, errors.Join(err, fmt.Errorf("Session-ID %s in London, another one at a node on the way", d.session))
		}
		j.messages = append(j.messages, more...)
	}
	j.name()
	for i := range j.messages {
		d.names[j.messages[i].Local] = j.messages[i].LocalName
	}
	maps.Copy(j.names, d.names)
	j.merge()
	return j, nil
}

// wayToHongKong are the nodes that a call passes after London, as far as they live.
func (d *demonstration) wayToHongKong() []controlled {
	all := []controlled{d.hubB, d.hongkong}
	if d.hubA.PID(node.Supervisor) != 0 {
		all = append([]controlled{d.hubA}, all...)
	}
	return all
}

func traceOf(ctx context.Context, n controlled, id string) ([]traced, error) {
	text, err := n.Ctl(ctx, "call", "trace", id, "-o", "json")
	if err != nil {
		return nil, err
	}
	var all []traced
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	return all, nil
}

// sessionOf is the one Session-ID (RFC 7989) of a node's messages.
func sessionOf(messages []traced) (string, error) {
	var found []string
	for i := range messages {
		for line := range strings.SplitSeq(messages[i].Message, "\r\n") {
			name, value, _ := strings.Cut(line, ":")
			id, _, _ := strings.Cut(strings.TrimSpace(value), ";")
			if strings.EqualFold(name, "Session-ID") && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("Session-IDs %v in a trace, not one", found)
	}
	return found[0], nil
}

// name gives each address its party's name: a node's own name for itself is better than what its neighbours call it. An
// address from which a hub dialled another is known to that other one alone, which calls it hub/a.
func (j *journey) name() {
	for i := range j.messages {
		j.names[j.messages[i].Remote] = strings.Replace(j.messages[i].RemoteName, "hub/", "hub ", 1)
	}
	for i := range j.messages {
		j.names[j.messages[i].Local] = j.messages[i].LocalName
	}
}

// merge puts the messages in the order of time, and leaves out the receipt of one whose sending was traced as well.
func (j *journey) merge() {
	slices.SortStableFunc(j.messages, func(a, b traced) int { return a.At.Compare(b.At) })
	type key struct {
		from, to string
		message  string
	}
	sent := map[key]int{}
	j.messages = slices.DeleteFunc(j.messages, func(m traced) bool {
		from, to := m.way()
		k := key{j.names[from], j.names[to], m.Message}
		if m.Out {
			sent[k]++
			return false
		}
		if sent[k] == 0 {
			return false
		}
		sent[k]--
		j.twice++
		return true
	})
}

// alone are messages between nodes that only their receiver traced.
func (j *journey) alone() (labels []string) {
	for i := range j.messages {
		from, to := j.messages[i].way()
		if !j.messages[i].Out && isNode(j.names[from]) {
			line, _, _ := strings.Cut(j.messages[i].Message, "\r\n")
			labels = append(labels, fmt.Sprintf("%s from %s to %s", line, j.names[from], j.names[to]))
		}
	}
	return labels
}

func isNode(name string) bool { return slices.Contains(wayOut[1:len(wayOut)-1], name) }

// since leaves out what was before.
func (j *journey) since(t time.Time) {
	j.messages = slices.DeleteFunc(j.messages, func(m traced) bool { return m.At.Before(t) })
}

// draw is the ladder, with the parties of a way from left to right.
func (j *journey) draw(way ...string) string {
	entries := j.opening(way)
	opening := len(entries)
	for _, m := range j.messages {
		entries = append(entries, tracering.Entry{
			At: m.At.Local(), Out: m.Out, CallID: m.CallID, Message: []byte(m.Message),
			Flow: siptransport.Flow{Local: m.Local, Remote: m.Remote},
		})
	}
	text := tracering.Ladder(entries, func(a netip.AddrPort) string { return j.names[a] })
	lines := strings.SplitAfter(text, "\n")
	head := len(lines) - 1 - len(entries) // each message is a line, and nothing follows the last end of line
	return strings.Join(slices.Delete(lines, head, head+opening), "")
}

// opening are messages that open a ladder's columns in the order of a way; draw takes them out again.
func (j *journey) opening(way []string) (entries []tracering.Entry) {
	if len(j.messages) == 0 {
		return nil
	}
	addresses := map[string]netip.AddrPort{}
	for _, m := range slices.Backward(j.messages) {
		for _, a := range []netip.AddrPort{m.Local, m.Remote} {
			addresses[j.names[a]] = a
		}
	}
	for _, name := range way {
		if a, ok := addresses[name]; ok {
			entries = append(entries, tracering.Entry{
				CallID: j.messages[0].CallID, Message: []byte("-"), Flow: siptransport.Flow{Local: a, Remote: a},
			})
		}
	}
	return entries
}

// passes says whether a message that begins so went from one party to another after the first skip messages, and which.
func (j *journey) passes(skip int, begins, from, to string) int {
	for i := skip; i < len(j.messages); i++ {
		a, b := j.messages[i].way()
		if strings.HasPrefix(j.messages[i].Message, begins) && j.names[a] == from && j.names[b] == to {
			return i
		}
	}
	return -1
}

// touches counts the messages that a party sent or was to receive.
func (j *journey) touches(party string) (n int) {
	for i := range j.messages {
		if from, to := j.messages[i].way(); j.names[from] == party || j.names[to] == party {
			n++
		}
	}
	return n
}

// follows wants a message on each part of a way, in order.
func (j *journey) follows(begins string, way ...string) error {
	at := 0
	for i := range len(way) - 1 {
		if at = j.passes(at, begins, way[i], way[i+1]); at < 0 {
			return fmt.Errorf("the ladder has no %q from %s to %s where it is due", begins, way[i], way[i+1])
		}
	}
	return nil
}

// The parties of the call, from left to right, while hub a lives and when it is dead.
var (
	wayOut      = []string{callerName, "london", hubA, "hub b", "hongkong", calleeName}
	wayWithoutA = []string{callerName, "london", "hub b", "hongkong", calleeName}
)

const hubA = "hub a"

func back(way []string) []string {
	way = slices.Clone(way)
	slices.Reverse(way)
	return way
}

func (d *demonstration) ladder(ctx context.Context) error {
	j, err := d.trace(ctx)
	if err != nil {
		return err
	}
	d.block(j.draw(wayOut...))
	for _, c := range []struct {
		begins string
		way    []string
	}{
		{"INVITE ", wayOut},
		{"SIP/2.0 180 ", back(wayOut)},
		{"SIP/2.0 200 ", back(wayOut)},
		// Each office acknowledges its own leg, without waiting for the other.
		{"ACK ", wayOut[:2]},
		{"ACK ", wayOut[1:5]},
		{"ACK ", wayOut[4:]},
	} {
		if err := j.follows(c.begins, c.way...); err != nil {
			return err
		}
	}
	d.seen("INVITE went from %s, 180 and 200 came back, and each leg has its ACK", strings.Join(wayOut, " > "))
	if alone := j.alone(); len(alone) > 0 {
		return fmt.Errorf("only the receiver traced %v", alone)
	}
	d.seen("%d messages between nodes, each traced alike by its sender and its receiver", j.twice)
	d.seen("one Session-ID on all four nodes: %s", d.session)
	return nil
}

// ladderAfter shows where the call went since the kill, with hub a dead.
func (d *demonstration) ladderAfter(ctx context.Context) error {
	j, err := d.trace(ctx)
	if err != nil {
		return err
	}
	j.since(d.killed)
	d.block(j.draw(wayWithoutA...))
	if err := errors.Join(j.follows("INVITE ", wayWithoutA...), j.follows("BYE ", back(wayWithoutA)...)); err != nil {
		return err
	}
	if n := j.touches(hubA); n > 0 {
		return fmt.Errorf("%d messages since the kill were for hub a, which is dead", n)
	}
	d.seen("since the kill the re-INVITE and the BYE passed hub b, and nothing was sent to hub a")
	return nil
}
