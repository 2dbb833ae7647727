package baresip

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Event is something that baresip told.
type Event struct {
	Type      string `json:"type"` // such as REGISTER_OK, CALL_ESTABLISHED
	Account   string `json:"accountaor"`
	Direction string `json:"direction"`
	Peer      string `json:"peeruri"`
	ID        string `json:"id"`
	Param     string `json:"param"`
}

type reply struct {
	OK    bool   `json:"ok"`
	Data  string `json:"data"`
	Token string `json:"token"`
}

// read takes netstrings apart: "12:{...12 bytes},".
func (a *Agent) read() {
	r := bufio.NewReader(a.control)
	for {
		text, err := netstring(r)
		if err != nil {
			return
		}
		var m struct {
			Event
			reply
			Response bool `json:"response"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			continue // baresip 1.0 does not escape what strangers put into names
		}
		a.mu.Lock()
		if m.Response {
			if waiting := a.replies[m.Token]; waiting != nil {
				waiting <- m.reply
				delete(a.replies, m.Token)
			}
		} else {
			a.events = append(a.events, m.Event)
			close(a.changed)
			a.changed = make(chan struct{})
		}
		a.mu.Unlock()
	}
}

func netstring(r *bufio.Reader) ([]byte, error) {
	length, err := r.ReadString(':')
	if err != nil {
		return nil, fmt.Errorf("read length: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n < 0 || n > 1<<20 {
		return nil, fmt.Errorf("bad length %q", length)
	}
	text := make([]byte, n+1)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("read text: %w", err)
	}
	return text[:n], nil
}

// Command runs one command of baresip's menu and gives what it printed.
func (a *Agent) Command(ctx context.Context, command, params string) (string, error) {
	answer := make(chan reply, 1)
	a.mu.Lock()
	a.token++
	token := strconv.Itoa(a.token)
	a.replies[token] = answer
	a.mu.Unlock()
	text, err := json.Marshal(map[string]string{"command": command, "params": params, "token": token})
	if err != nil {
		return "", fmt.Errorf("command %s: %w", command, err)
	}
	if _, err := fmt.Fprintf(a.control, "%d:%s,", len(text), text); err != nil {
		return "", fmt.Errorf("command %s: %w", command, err)
	}
	select {
	case r := <-answer:
		if !r.OK {
			return r.Data, fmt.Errorf("command %s %s: baresip refused: %s", command, params, r.Data)
		}
		return r.Data, nil
	case <-a.exited:
		return "", errors.New("baresip ended")
	case <-ctx.Done():
		return "", fmt.Errorf("command %s: %w", command, ctx.Err())
	}
}

// Events are all that was told so far.
func (a *Agent) Events() []Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Event(nil), a.events...)
}

// Wait waits for an event of one of the types that comes after the first skip events, and gives it and the number of
// events up to it. A caller that asks for one thing after the other passes that number on.
func (a *Agent) Wait(ctx context.Context, skip int, types ...string) (Event, int, error) {
	for {
		a.mu.Lock()
		events, changed := a.events, a.changed
		a.mu.Unlock()
		for i, e := range events {
			for _, t := range types {
				if i >= skip && e.Type == t {
					return e, i + 1, nil
				}
			}
		}
		select {
		case <-changed:
		case <-a.exited:
			return Event{}, skip, fmt.Errorf("baresip ended while %v was awaited", types)
		case <-ctx.Done():
			return Event{}, skip, fmt.Errorf("wait for %v: %w; it told %v", types, ctx.Err(), events)
		}
	}
}
