package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// TestMssctl runs every verb against real nodes in every form and compares what an operator sees, also where there is
// nothing to show and where a verb is refused.
func TestMssctl(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	d := &domain{hub: hub}
	atHub := newConsole(t, filepath.Join(hub.Dir(), "admin.sock"))
	for _, line := range []string{"site list", "route list", "peer list", "audit list"} {
		atHub.each(t, line)
	}
	londonAt := node.NewAddress()
	d.london = d.join(t, node.Options{
		Site: "london", Addr: londonAt, Numbers: []string{"4xxx"}, Users: users, Extra: fmt.Sprintf("admin: {grpc: [%q]}\n", netip.AddrPortFrom(londonAt, 0)),
	})
	atLondon := newConsole(t, filepath.Join(d.london.Dir(), "admin.sock"))
	for _, line := range []string{"registration list", "call list", "cdr list", "audit list"} {
		atLondon.each(t, line)
	}
	must(t, d.london.WaitUplink(limit(t), "a"))
	must(t, hub.WaitRoutes(limit(t), "london"))
	must(t, hub.WaitTakesCalls(limit(t)))

	hubVerbs(t, atHub, hub)
	officeVerbs(t, atLondon, d.london)
	atLondon.words["GRPC"], atLondon.words["OPERATOR"] = listening(t, d.london.Log(), "grpc"), atHub.words["OPERATOR"]
	officeFromElsewhere(t, atLondon)
	for who, log := range map[string]string{"hub": hub.Log(), "office": d.london.Log()} {
		if !strings.Contains(log, "level=DEBUG") {
			t.Errorf("the %s did not log more when it was told to", who)
		}
	}
	atHub.compare(t, "hub.txt")
	atLondon.compare(t, "office.txt")
	seen := maps.Clone(atHub.seen)
	maps.Copy(seen, atLondon.seen)
	for _, verb := range verbs(t) {
		for _, form := range forms {
			if !seen[verb+" "+form] {
				t.Errorf("mssctl %s -o %s was not run here", verb, form)
			}
		}
	}
}

func hubVerbs(t *testing.T, c *console, hub *node.Hub) {
	t.Helper()
	for _, line := range []string{
		"hub list", "hub token b-$F", "hub token a", "hub token UPPER",
		"site list", "site list nowhere", "site add rome-$F --prefix 6${N}xx", "site add paris --prefix 4xxx", "site add paris",
		"site list rome-$F", "site token rome-$F", "site token nowhere",
		"route add 7${N}xx --via site/london --name r-$F", "route add 8xx --via site/nowhere", "route list", "route list 4", "route list 9",
		"route explain 4001", "route explain 7150", "route explain 9", "route delete r-$F", "route delete nothing",
		"site delete rome-$F", "site delete nowhere",
		"peer list", "status", "node log-level", "node log-level debug", "site add late-$F --prefix 5${N}xx", "node log-level info", "node log-level loud",
		"call trace nothing", "user list", "audit list --limit 3", "hub nonsense",
	} {
		c.each(t, line)
	}
	for i, says := range []string{"changes follow", `"CHANGE_SYNCED"`, "CHANGE_SYNCED"} {
		c.until(t, "route watch 4", forms[i], says)
	}
	c.words["GRPC"], c.words["OPERATOR"] = hub.GRPC().String(), filepath.Join(hub.Dir(), "identity", "operator-admin.pem")
	for _, line := range []string{
		"context list", "context add hub-$F --node $GRPC --operator $OPERATOR", "context add nothing", "context use hub-$F", "context use nothing", "context list",
		"status --context nothing", "hub list --context hub-$F", "site list --node $GRPC --operator $OPERATOR", "call list --node $GRPC --operator $OPERATOR",
		"site add far-$F --prefix 9${N}xx --node $GRPC --operator $OPERATOR", "audit list --limit 1 --node $GRPC --operator $OPERATOR",
		"hub list --node $GRPC", "context delete hub-$F", "context delete nothing",
	} {
		c.each(t, line)
	}
}

func officeVerbs(t *testing.T, c *console, london *node.Node) {
	t.Helper()
	for _, line := range []string{
		"user list", "user list nobody", "user add desk-$F --display-name Desk", "user add 4001", "user set desk-$F --new-password --max-phones 2", "user set 4001 --disabled",
		"user list desk-$F", "user delete desk-$F", "user delete nobody", "node log-level", "node log-level debug",
	} {
		c.each(t, line)
	}
	a, b := register(t, london, phone.Options{Name: "4001"}), register(t, london, phone.Options{Name: "4002"})
	for i, form := range forms {
		out, in := connect(t, a, b)
		c.words["CALL"] = liveCall(t, london)
		c.run(t, "call list", form)
		c.run(t, "call list 4003", form)
		c.run(t, "call trace $CALL", form) // before the hang-up, whose two BYEs are answered in any order
		c.run(t, "call hangup $CALL", form)
		must(t, out.WaitEnded(limit(t)))
		must(t, in.WaitEnded(limit(t)))
		awaitRecords(t, london, i+1)
	}
	for _, line := range []string{
		"node log-level info", "registration list", "registration list 4002", "call hangup nothing", "call trace nothing", "cdr list", "cdr list --user 4003", "cdr list --since yesterday",
		"peer list", "status", "audit list --limit 4", "site list", "route explain 4001",
	} {
		c.each(t, line)
	}
}

// ask reads what mssctl prints for programs.
func ask(t *testing.T, n *node.Node, to any, args ...string) {
	t.Helper()
	text, err := n.Ctl(limit(t), append(args, "-o", "json")...)
	must(t, err)
	must(t, json.Unmarshal([]byte(text), to))
}

// officeFromElsewhere asks the office over the network, as the operator and as nobody, and under another office's name.
func officeFromElsewhere(t *testing.T, c *console) {
	t.Helper()
	for _, line := range []string{
		"user list 4001 --node london@$GRPC --operator $OPERATOR", "user add far-$F --no-password --node london@$GRPC --operator $OPERATOR",
		"audit list --limit 1 --node london@$GRPC --operator $OPERATOR", "status --node london@$GRPC",
	} {
		c.each(t, line)
	}
	for _, as := range []string{"paris@$GRPC", "$GRPC"} {
		if out, code := c.exec(t, "user list --node "+as+" --operator $OPERATOR", "table"); code != 4 || !strings.Contains(out, "certificate is valid for london.site.") {
			t.Errorf("as %s: exit %d, %s", as, code, out)
		}
	}
}

// liveCall is the id of the one call that is up.
func liveCall(t *testing.T, n *node.Node) string {
	t.Helper()
	var calls []struct{ ID string }
	ask(t, n, &calls, "call", "list")
	if len(calls) != 1 {
		t.Fatalf("%d calls are up", len(calls))
	}
	return calls[0].ID
}

func awaitRecords(t *testing.T, n *node.Node, want int) {
	t.Helper()
	for ctx := limit(t); ; {
		var records []struct{ ID string }
		if ask(t, n, &records, "cdr", "list"); len(records) == want {
			return
		}
		pauseOr(ctx, t, fmt.Sprintf("%d records, want %d", len(records), want))
	}
}

// verbs are all that mssctl knows, such as "site list".
func verbs(t *testing.T) (all []string) {
	t.Helper()
	for _, noun := range subcommands(t) {
		under := subcommands(t, noun)
		if len(under) == 0 {
			all = append(all, noun)
		}
		for _, verb := range under {
			all = append(all, noun+" "+verb)
		}
	}
	if len(all) < 25 {
		t.Fatalf("mssctl seems to know only %q", all)
	}
	return all
}

// subcommands are those that a command's help lists.
func subcommands(t *testing.T, path ...string) (names []string) {
	t.Helper()
	_, list, _ := strings.Cut(help(t, path...), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		if name := strings.Fields(line)[0]; name != "help" && name != "completion" {
			names = append(names, name)
		}
	}
	return names
}

func help(t *testing.T, path ...string) string {
	t.Helper()
	text, err := exec.CommandContext(context.Background(), filepath.Join(bin, "mssctl"), append(slices.Clone(path), "--help")...).Output()
	must(t, err)
	return string(text)
}

// An office that has not joined knows no operators: it refuses those who come over the network, and says so.
func TestOperatorAtAnOfficeThatHasNotJoined(t *testing.T) {
	t.Parallel()
	hub, address := startHub(t), node.NewAddress()
	london := startOffice(t, node.Options{Addr: address, Users: users, Extra: fmt.Sprintf("admin: {grpc: [%q]}\n", netip.AddrPortFrom(address, 0))})
	c := newConsole(t, filepath.Join(london.Dir(), "admin.sock"))
	c.words["GRPC"], c.words["OPERATOR"] = listening(t, london.Log(), "grpc"), filepath.Join(hub.Dir(), "identity", "operator-admin.pem")
	if out, code := c.exec(t, "status --node london@$GRPC --operator $OPERATOR", "table"); code != 4 || !strings.Contains(out, "handshake") {
		t.Errorf("over the network: exit %d, %s", code, out)
	}
	if out, code := c.exec(t, "status", "table"); code != 0 || !strings.Contains(out, "ALARM") || !strings.Contains(out, "admin.grpc: the office has not joined its domain") {
		t.Errorf("on its own machine: exit %d, %s", code, out)
	}
}
