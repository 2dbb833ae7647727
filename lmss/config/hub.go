package config

import (
	"fmt"
	"slices"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/federation"
)

// maxUplinks is how many hubs a site attaches to.
const maxUplinks = 4

// StaticHub is a hub with a fixed address.
type StaticHub struct {
	// Hub is its name. Required.
	Hub federation.HubID `yaml:"hub"`
	// Address is where it takes calls, and where its own come from. Required.
	Address Target `yaml:"address"`
}

func (c *Config) validateHubs(wrong *configfile.Complaints) {
	if len(c.Uplinks) > maxUplinks {
		wrong.Add("uplinks", "%d hubs: at most %d are used", len(c.Uplinks), maxUplinks)
	}
	for i, id := range c.Uplinks {
		key := fmt.Sprintf("uplinks[%d]", i)
		switch {
		case !configfile.IsLabel(string(id)):
			wrong.Add(key, "%q: a hub's name is wanted here: lower-case letters, digits and hyphens, such as a", id)
		case slices.Contains(c.Uplinks[:i], id):
			wrong.Add(key, "%q is there twice", id)
		}
	}
	for i, hub := range c.StaticHubs {
		key := fmt.Sprintf("static_hubs[%d]", i)
		if !configfile.IsLabel(string(hub.Hub)) {
			wrong.Add(key+".hub", "%q: the hub's name is required: lower-case letters, digits and hyphens, such as a", hub.Hub)
		}
		if !hub.Address.Address.IsValid() { // a name would not say whose messages to believe
			wrong.Add(key+".address", "an address is required, such as udp 192.0.2.9:5060")
		}
		if slices.ContainsFunc(c.StaticHubs[:i], func(other StaticHub) bool { return other.Hub == hub.Hub }) {
			wrong.Add(key+".hub", "%q is there twice", hub.Hub)
		}
	}
}
