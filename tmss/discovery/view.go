package discovery

import (
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/tmss/cookie"
)

// View is the directory at one revision. It is immutable; lists are ordered by ID.
type View struct {
	Revision int64
	Hubs     []Hub
	Sites    []Site
	Routes   []Route
	Keys     []cookie.Key
	Revoked  identity.RevocationList
}

var (
	errSecretSize = errors.New("the secret has not 32 bytes")
	errKeyName    = errors.New("it stands under another name")
)

// Hub finds a hub.
func (v *View) Hub(id federation.HubID) (Hub, bool) {
	return find(v.Hubs, id, hubID)
}

// Site finds a site.
func (v *View) Site(id federation.SiteID) (Site, bool) {
	return find(v.Sites, id, siteID)
}

// Route finds a static route.
func (v *View) Route(id string) (Route, bool) {
	return find(v.Routes, id, routeID)
}

func hubID(h Hub) federation.HubID    { return h.ID }
func siteID(s Site) federation.SiteID { return s.ID }
func routeID(r Route) string          { return r.ID }
func keyID(k cookie.Key) cookie.KeyID { return k.ID }

func by[T any, K cmp.Ordered](id func(T) K) func(T, T) int {
	return func(a, b T) int { return cmp.Compare(id(a), id(b)) }
}

func find[T any, K cmp.Ordered](list []T, want K, id func(T) K) (found T, ok bool) {
	i, ok := slices.BinarySearchFunc(list, want, func(e T, k K) int { return cmp.Compare(id(e), k) })
	if ok {
		found = list[i]
	}
	return found, ok
}

// same compares documents by value; times are compared as they are written, in UTC.
func same[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

func (v *View) sort() {
	slices.SortFunc(v.Hubs, by(hubID))
	slices.SortFunc(v.Sites, by(siteID))
	slices.SortFunc(v.Routes, by(routeID))
	slices.SortFunc(v.Keys, by(keyID))
}

// add reads one document. Keys of kinds that a newer version knows are passed over.
func (v *View) add(key string, it item) error {
	switch {
	case strings.HasPrefix(key, nodesPrefix):
		var h Hub
		if err := decode(it.Value, &h, h.validate, func() string { return nodesPrefix + string(h.ID) }, key); err != nil {
			return err
		}
		h.Gone = it.Gone
		v.Hubs = append(v.Hubs, h)
	case strings.HasPrefix(key, sitesPrefix):
		var s Site
		if err := decode(it.Value, &s, s.validate, func() string { return sitesPrefix + string(s.ID) }, key); err != nil {
			return err
		}
		s.Changed.Revision = it.Revision
		v.Sites = append(v.Sites, s)
	case strings.HasPrefix(key, routesPrefix):
		var r Route
		if err := decode(it.Value, &r, r.validate, func() string { return routesPrefix + r.ID }, key); err != nil {
			return err
		}
		r.Changed.Revision = it.Revision
		v.Routes = append(v.Routes, r)
	case strings.HasPrefix(key, cookiePrefix):
		k, err := decodeKey(key, it.Value)
		if err != nil {
			return err
		}
		v.Keys = append(v.Keys, k)
	case key == RevocationsKey:
		return json.Unmarshal([]byte(it.Value), &v.Revoked)
	}
	return nil
}

// decode reads a document that stands under its own name and means something.
func decode(value string, into any, validate func() error, own func() string, key string) error {
	if err := json.Unmarshal([]byte(value), into); err != nil {
		return err
	}
	if own() != key {
		return errKeyName
	}
	return validate()
}

// Difference is one document that is not as it was.
type Difference struct {
	Noun string // "hub", "site", "route", "key", "revocations"
	ID   string // empty for revocations
	// Before and Now say whether the document was and is there. A hub whose entry vanished is there.
	Before, Now bool
}

// Differences lists what changed between two views, in a fixed order.
func Differences(before, now *View) []Difference {
	var list []Difference
	list = differ(list, "hub", before.Hubs, now.Hubs, func(h Hub) string { return string(h.ID) })
	list = differ(list, "site", before.Sites, now.Sites, func(s Site) string { return string(s.ID) })
	list = differ(list, "route", before.Routes, now.Routes, routeID)
	list = differ(list, "key", before.Keys, now.Keys, func(k cookie.Key) string { return cookieKeyName(k.ID) })
	if !same(before.Revoked, now.Revoked) {
		list = append(list, Difference{Noun: "revocations", Before: before.Revoked != nil, Now: now.Revoked != nil})
	}
	return list
}

func differ[T any](list []Difference, noun string, before, now []T, id func(T) string) []Difference {
	old := make(map[string]T, len(before))
	for _, e := range before {
		old[id(e)] = e
	}
	for _, e := range now {
		was, ok := old[id(e)]
		delete(old, id(e))
		if !ok || !same(was, e) {
			list = append(list, Difference{Noun: noun, ID: id(e), Before: ok, Now: true})
		}
	}
	for _, e := range before {
		if _, left := old[id(e)]; left {
			list = append(list, Difference{Noun: noun, ID: id(e), Before: true})
		}
	}
	return list
}
