package chain

import (
	"context"
	"encoding/json"
	"fmt"
)

// RequestsOfCall are those of a whole call that a hub passes on: INVITE, ACK and BYE.
const RequestsOfCall = 3

// Repeats is what a node had to send again since it started.
type Repeats struct {
	Node   string
	Finals uint64 // final responses
	All    uint64 // all messages
	Again  uint64 // requests that came again
	Hub    bool
	Passed uint64 // requests that a hub passed on
}

// Repeats asks each node, in the order in which a call passes them.
func (c *Chain) Repeats(ctx context.Context) ([]Repeats, error) {
	var all []Repeats
	for _, n := range []struct {
		name string
		hub  bool
		ctl  func(context.Context, ...string) (string, error)
	}{
		{"office " + c.london.Site(), false, c.london.Ctl},
		{"hub " + c.a.Name(), true, c.a.Ctl},
		{"hub " + c.b.Name(), true, c.b.Ctl},
		{"office " + c.hongkong.Site(), false, c.hongkong.Ctl},
	} {
		text, err := n.ctl(ctx, "status", "-o", "json")
		if err != nil {
			return nil, err
		}
		r, err := readRepeats(n.name, n.hub, text)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func readRepeats(name string, hub bool, status string) (Repeats, error) {
	var s struct {
		Counters []struct {
			Name  string
			Value uint64
		}
	}
	if err := json.Unmarshal([]byte(status), &s); err != nil {
		return Repeats{}, fmt.Errorf("status of %s: %w", name, err)
	}
	r, found := Repeats{Node: name, Hub: hub}, 0
	fields := map[string]*uint64{"sip_finals_sent_again": &r.Finals, "sip_sent_again": &r.All, "sip_requests_came_again": &r.Again}
	if hub {
		fields["requests_forwarded"] = &r.Passed
	}
	for _, counter := range s.Counters {
		if field := fields[counter.Name]; field != nil {
			*field = counter.Value
			found++
		}
	}
	if found != len(fields) {
		return r, fmt.Errorf("status of %s has %d of %d counters", name, found, len(fields))
	}
	return r, nil
}
