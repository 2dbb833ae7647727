package uplink

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
)

// renew keeps the certificate valid at half of its life. A site whose certificate is beyond renewal goes on
// without uplink and says so.
func (u *Uplink) renew(ctx context.Context) {
	keeper := enrolment.Keeper{
		Source: u.source, Path: u.options.Home.credentialsPath(), Logger: u.log,
		Renew: func(ctx context.Context) (*identity.Credentials, error) {
			return enrolment.Renew(ctx, u.source, u.trust, *u.issuers.Load())
		},
	}
	if err := keeper.Run(ctx); err != nil {
		u.log.Error("certificate lost: no other site can be reached", "err", err)
		u.alarms.set("certificate", err.Error())
	}
}

// alarms are what is wrong now, by subject. The zero value is ready.
type alarms struct {
	mu struct {
		sync.Mutex
		texts map[string]string
	}
}

// set replaces the alarm of a subject; empty takes it away.
func (a *alarms) set(subject, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.texts == nil {
		a.mu.texts = map[string]string{}
	}
	delete(a.mu.texts, subject)
	if text != "" {
		a.mu.texts[subject] = text
	}
}

// Alarms are sentences for an operator; none means that nothing is wrong.
func (u *Uplink) Alarms() []string {
	u.alarms.mu.Lock()
	defer u.alarms.mu.Unlock()
	var all []string
	for _, text := range u.alarms.mu.texts {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// complain says which hubs the operator named and nobody knows.
func (u *Uplink) complain(known []exchange.Hub) {
	text := ""
	for _, id := range u.options.Prefer {
		if !slices.ContainsFunc(known, func(h exchange.Hub) bool { return h.ID == id }) {
			text = fmt.Sprintf("uplinks: no hub %s is known; known hubs: %s", id, names(known))
		}
	}
	u.alarms.set("uplinks", text)
}
