package discovery

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/tmss/cookie"
)

// However changes arrive, one by one or as the whole at the end, the view is the same. Hubs' entries that
// vanished are remembered in both cases.
func TestStateIsTheSameEitherWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		names := rapid.SampledFrom([]string{"a", "b", "c"})
		var byOne, whole state
		present := map[string]event{}
		revision := int64(1)
		for range rapid.IntRange(0, 30).Draw(t, "changes") {
			revision++
			e := event{revision: revision}
			switch name := names.Draw(t, "name"); rapid.SampledFrom([]string{"hub", "site", "token"}).Draw(t, "noun") {
			case "hub":
				e.key, e.value = nodesPrefix+name, fmt.Appendf(nil, `{"id":%q,"grpc":"192.0.2.7:%d"}`, name, revision)
			case "site":
				e.key, e.value = sitesPrefix+name, fmt.Appendf(nil, `{"id":%q}`, name)
			default:
				e.key, e.value = enrollPrefix+name, []byte("{}")
			}
			if rapid.Bool().Draw(t, "delete") {
				e.value = nil
				delete(present, e.key)
			} else {
				present[e.key] = e
			}
			byOne.apply([]event{e}, revision, now)
			if rapid.Bool().Draw(t, "resync") {
				whole.replace(values(present), revision, now)
			} else {
				whole.apply([]event{e}, revision, now)
			}
		}
		x, brokenX := byOne.view()
		y, brokenY := whole.view()
		if d := Differences(x, y); len(d) > 0 || x.Revision != y.Revision || len(brokenX)+len(brokenY) > 0 {
			t.Errorf("%+v\n%+v\n%+v", d, x, y)
		}
	})
}

func values(m map[string]event) []event {
	list := make([]event, 0, len(m))
	for _, e := range m {
		list = append(list, e)
	}
	return list
}

// A hub that stays away is forgotten in the end.
func TestForgetHub(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var s state
	s.apply([]event{{nodesPrefix + "b", []byte(`{"id":"b","grpc":"192.0.2.7:1"}`), 2}}, 2, now)
	s.apply([]event{{key: nodesPrefix + "b", revision: 3}}, 3, now)
	for _, c := range []struct {
		after time.Duration
		known int
	}{{time.Hour, 1}, {forgetHub - time.Minute, 1}, {forgetHub + time.Minute, 0}} {
		s.replace(nil, 4, now.Add(c.after))
		if v, _ := s.view(); len(v.Hubs) != c.known {
			t.Errorf("after %v: %d hubs", c.after, len(v.Hubs))
		}
	}
}

func TestPlanKeys(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key := func(id cookie.KeyID, age time.Duration) cookie.Key { return cookie.Key{ID: id, Made: now.Add(-age)} }
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		keys   []cookie.Key
		make   cookie.KeyID
		remove string
	}{
		"none":               {nil, 1, "[]"},
		"young":              {[]cookie.Key{key(1, time.Hour)}, 0, "[]"},
		"a day old":          {[]cookie.Key{key(1, day)}, 2, "[]"},
		"the only one stays": {[]cookie.Key{key(7, 400*day)}, 8, "[]"},
		"successor young":    {[]cookie.Key{key(1, 3*day), key(2, 2*day), key(3, time.Hour)}, 0, "[]"},
		"successor old":      {[]cookie.Key{key(3, time.Hour), key(1, 5*day), key(2, 3*day+time.Minute)}, 0, "[1]"},
		"all but the last":   {[]cookie.Key{key(1, 9*day), key(2, 8*day), key(3, 7*day)}, 4, "[1 2]"},
		"clock ahead":        {[]cookie.Key{key(1, -time.Hour)}, 0, "[]"},
	} {
		plan := planKeys(c.keys, now)
		if plan.make != c.make || fmt.Sprint(plan.remove) != c.remove {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}
