package discovery

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/tmss/cookie"
)

// forgetHub is how long a hub whose entry vanished stays known.
const forgetHub = 24 * time.Hour

// item is one key of the directory. Values do not change in place.
type item struct {
	Value    string    `json:"value"`
	Revision int64     `json:"revision"`
	Gone     time.Time `json:"gone,omitzero"` // hubs only
}

// state is the directory's content as far as it is known: pure, and owned by the Directory's lock.
type state struct {
	revision int64
	items    map[string]item
}

// event is a change of one key.
type event struct {
	key      string
	value    []byte // nil: the key vanished
	revision int64
}

// kept says whether a key belongs to the view; tokens do not.
func kept(key string) bool { return !strings.HasPrefix(key, enrollPrefix) }

// apply takes changes in the directory's order.
func (s *state) apply(events []event, revision int64, now time.Time) {
	for _, e := range events {
		switch {
		case !kept(e.key):
		case e.value == nil:
			s.remove(e.key, now)
		default:
			s.put(e.key, item{Value: string(e.value), Revision: e.revision})
		}
	}
	s.revision = max(s.revision, revision)
}

// replace takes the whole directory at a revision. It does the same as the changes that led there.
func (s *state) replace(all []event, revision int64, now time.Time) {
	present := make(map[string]bool, len(all))
	for _, e := range all {
		present[e.key] = true
	}
	for key := range maps.Clone(s.items) {
		if !present[key] {
			s.remove(key, now)
		}
	}
	// A directory that was made anew begins at low revisions: what it says counts.
	s.revision = 0
	s.apply(all, revision, now)
}

func (s *state) put(key string, it item) {
	if s.items == nil {
		s.items = map[string]item{}
	}
	s.items[key] = it
}

// remove forgets a key; a hub's is kept for a while.
func (s *state) remove(key string, now time.Time) {
	it, ok := s.items[key]
	switch {
	case !ok:
	case !strings.HasPrefix(key, nodesPrefix):
		delete(s.items, key)
	case it.Gone.IsZero():
		it.Gone = now
		s.items[key] = it
	case now.Sub(it.Gone) > forgetHub:
		delete(s.items, key)
	}
}

// brokenDocument is one that cannot be read. The rest of the view stands without it.
type brokenDocument struct {
	key      string
	revision int64
	err      error
}

// view reads all documents.
func (s *state) view() (*View, []brokenDocument) {
	v := &View{Revision: s.revision}
	var broken []brokenDocument
	for key, it := range s.items {
		if err := v.add(key, it); err != nil {
			broken = append(broken, brokenDocument{key, it.Revision, err})
		}
	}
	v.sort()
	return v, broken
}

// keyDocument is a cookie key as the directory keeps it.
type keyDocument struct {
	Secret []byte    `json:"secret"`
	Made   time.Time `json:"made"`
}

func decodeKey(key, value string) (cookie.Key, error) {
	var doc keyDocument
	if err := json.Unmarshal([]byte(value), &doc); err != nil {
		return cookie.Key{}, err
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(key, cookiePrefix), 10, 32)
	if err != nil {
		return cookie.Key{}, err
	}
	k := cookie.Key{ID: cookie.KeyID(id), Made: doc.Made}
	if len(doc.Secret) != len(k.Secret) {
		return cookie.Key{}, errSecretSize
	}
	copy(k.Secret[:], doc.Secret)
	return k, nil
}
