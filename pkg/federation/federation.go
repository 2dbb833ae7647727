// Package federation names the nouns of the domain, once, as distinct types without I/O: sites, hubs,
// numbers, sessions, terminations. A SiteID cannot be passed where a HubID is meant.
package federation

// SiteID names an office within its domain, such as "london".
type SiteID string

// HubID names a hub within its domain, such as "a".
type HubID string

// NodeID names a node of the domain whatever its role: "site/london" or "hub/a".
type NodeID string

// Number is a dialled or canonical telephone number. Canonical numbers are E.164 with a leading +,
// or the domain's private digits.
type Number string

// User names an extension of one site; it is the user part of its address-of-record.
type User string

// SessionID is the 32 lower-case hexadecimal digits of RFC 7989 that stay with a call over all its
// legs and nodes. Empty means that there is none.
type SessionID string
