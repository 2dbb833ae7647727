package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
)

// farUsers are the extensions of Hong Kong.
var farUsers = []node.User{
	{Name: "1001", Password: "kettle-bridge-1001-lamp", Display: "Harbour"},
	{Name: "1002", Password: "kettle-bridge-1002-lamp"},
	{Name: "1003", Password: "kettle-bridge-1003-lamp"},
}

// domain is a hub and two offices, each a node with processes of its own.
type domain struct {
	hub              *node.Hub
	london, hongkong *node.Node
}

// twoSites starts a domain whose offices can call each other. It is stopped with the test, and then looked for what it
// left.
func twoSites(t *testing.T) *domain {
	t.Helper()
	d := &domain{hub: startHub(t)}
	d.london = d.join(t, node.Options{Site: "london", Numbers: []string{"4xxx"}, Users: users})
	d.hongkong = d.join(t, node.Options{Site: "hongkong", Numbers: []string{"1xxx"}, Users: farUsers})
	d.whole(t)
	return d
}

func startHub(t *testing.T) *node.Hub {
	t.Helper()
	h, err := node.StartHub(limit(t), node.HubOptions{Bin: bin})
	must(t, err)
	rigtest.CleanUp(t, h)
	return h
}

// join adds a site, spends its token and starts its office.
func (d *domain) join(t *testing.T, opt node.Options) *node.Node {
	t.Helper()
	ctx := limit(t)
	must(t, d.hub.AddSite(ctx, opt.Site, opt.Numbers...))
	var err error
	opt.Token, err = d.hub.SiteToken(ctx, opt.Site)
	must(t, err)
	return startOffice(t, opt)
}

// whole waits until both offices have session, trunk and routes.
func (d *domain) whole(t *testing.T) {
	t.Helper()
	ctx := limit(t)
	must(t, d.london.WaitUplink(ctx, d.hub.Name()))
	must(t, d.hongkong.WaitUplink(ctx, d.hub.Name()))
	must(t, d.hub.WaitRoutes(ctx, d.london.Site(), d.hongkong.Site()))
}

// of is the office of a user.
func (d *domain) of(user string) *node.Node {
	if user[0] == '1' {
		return d.hongkong
	}
	return d.london
}

// register registers a user's phone in the user's office.
func (d *domain) register(t *testing.T, opt phone.Options, allowed ...phone.Rule) *phone.Phone {
	t.Helper()
	return register(t, d.of(opt.Name), opt, allowed...)
}

// explainFailure shows what the nodes traced of a call if the test fails.
func (d *domain) explainFailure(t *testing.T, c *phone.Call) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		id := c.ID()
		for _, n := range []interface {
			Ctl(ctx context.Context, args ...string) (string, error)
		}{d.of(userOf(c)), d.hub, d.london, d.hongkong} {
			text, err := n.Ctl(context.Background(), "call", "trace", id)
			t.Logf("%s%v", text, err)
			if _, after, ok := strings.Cut(text, "Session-ID "); ok {
				id, _, _ = strings.Cut(after, "\n")
			}
		}
	})
}

// userOf is the caller of a call, as its phone sees it.
func userOf(c *phone.Call) string {
	_, user, _ := strings.Cut(c.From(), "<sip:")
	user, _, _ = strings.Cut(user, "@")
	return user
}

// oneRecordEach wants one record of an inter-site call in each office, under one Session-ID.
func (d *domain) oneRecordEach(t *testing.T, out, in *phone.Call) (caller, callee record) {
	t.Helper()
	first, second := d.london, d.hongkong
	if d.of(userOf(out)) == second {
		first, second = second, first
	}
	caller = oneRecord(t, first, out, in)
	callee = oneRecordOf(t, second, func(r record) bool { return r.SessionID == caller.SessionID }, out, in)
	return caller, callee
}

// noVoicePorts wants the ports of both relays freed.
func (d *domain) noVoicePorts(t *testing.T) {
	t.Helper()
	noVoicePorts(t, d.london)
	noVoicePorts(t, d.hongkong)
}

// within bounds a part of a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
