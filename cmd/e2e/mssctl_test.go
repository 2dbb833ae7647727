package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

var update = flag.Bool("update", false, "write testdata again")

// console is an operator's shell at one node.
type console struct {
	env   []string
	words map[string]string // $NAME in a command line, and what it stands for
	seen  map[string]bool   // verbs that were run, with the form
	text  strings.Builder
}

func newConsole(t *testing.T, socket string) *console {
	t.Helper()
	env := append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "TZ=UTC", "MSS_SOCKET="+socket, "MSS_OPERATOR=", "MSS_CONTEXT=")
	return &console{env: env, words: map[string]string{}, seen: map[string]bool{}}
}

// forms are how every verb can print.
var forms = []string{"table", "json", "yaml"}

// each runs a command line in every form. $N is a number and $F a name of the form, for what can be done only once.
func (c *console) each(t *testing.T, line string) {
	t.Helper()
	for i, form := range forms {
		c.words["N"], c.words["F"] = fmt.Sprint(i+1), form
		c.run(t, line, form)
	}
}

// run runs a command line in one form.
func (c *console) run(t *testing.T, line, form string) {
	t.Helper()
	out, code := c.exec(t, line, form)
	c.note(line, form, out, code)
}

func (c *console) note(line, form, out string, code int) {
	fmt.Fprintf(&c.text, "$ mssctl %s -o %s\n%sexit %d\n\n", line, form, out, code)
	var verb []string
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "-") || strings.HasPrefix(word, "$") {
			break
		}
		verb = append(verb, word)
	}
	for n := range verb {
		c.seen[strings.Join(verb[:n+1], " ")+" "+form] = true
	}
}

func (c *console) exec(t *testing.T, line, form string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, "mssctl"), c.arguments(line, form)...)
	cmd.Env = c.env
	text, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(text), exit.ExitCode()
	}
	must(t, err)
	return string(text), 0
}

func (c *console) arguments(line, form string) []string {
	args := append(strings.Fields(line), "-o", form)
	for i := range args {
		args[i] = os.Expand(args[i], func(name string) string { return c.words[name] })
	}
	return args
}

// until runs a command line that does not end by itself, and interrupts it when it has said something.
func (c *console) until(t *testing.T, line, form, says string) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, "mssctl"), c.arguments(line, form)...)
	cmd.Env = c.env
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var text bytes.Buffer
	for buf := make([]byte, 4096); !strings.Contains(text.String(), says); {
		n, err := pipe.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Errorf("%s ended: %v\n%s", line, err, text.String())
			break
		}
	}
	must(t, cmd.Process.Signal(syscall.SIGINT))
	rest, err := io.ReadAll(pipe)
	must(t, err)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: interrupted: %v", line, err)
	}
	c.note(line, form, text.String()+string(rest), 0)
}

// compare compares what was seen with a file, but for what differs from run to run.
func (c *console) compare(t *testing.T, file string) {
	t.Helper()
	path := filepath.Join("testdata", "mssctl", file)
	got := c.settled()
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	text, err := os.ReadFile(path)
	must(t, err)
	if want := string(text); got != want {
		a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("%s:%d: got %q, want %q", path, i+1, a[i], b[i])
				break
			}
		}
		t.Errorf("%s differs; run the test with -update and read the difference; got\n%s", path, got)
	}
}

// unsettled is what differs from run to run, in the order in which it is replaced.
var unsettled = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`mss1-[\w.~-]+`), "TOKEN"},
	{regexp.MustCompile(`("?(version|commit|software)"?: )("[^"]*"|\S+ ?\S*)`), "${1}VERSION"},
	{regexp.MustCompile(`(?m)^version +.*$`), "version  VERSION"},
	{regexp.MustCompile(`\b(lmss|tmss) (unknown|devel|v\d\S*|[0-9a-f]{7,}(-dirty)?)`), "$1 VERSION"},
	{regexp.MustCompile(`\S+ \(uid \d+, pid \d+\)`), "WHO"},
	{regexp.MustCompile(`(message: ?"?|"message": ")([A-Z]+ \S+ SIP/2\.0|SIP/2\.0 [^\\]*?)\\r\\n.*`), "$1$2 …"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*Z?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "CLOCK"},
	{regexp.MustCompile(`(\b|")(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|µs)\b`), "${1}AGE"},
	{regexp.MustCompile(`\b127\.\d+\.\d+\.\d+(:\d+)?\b`), "ADDRESS"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\b[0-9a-f]{12,}\b`), "ID"},
	{regexp.MustCompile(`\b[A-Z2-7]{20,}\b`), "RANDOM"},
	{regexp.MustCompile(`\b[0-9a-z]{26}(\.\d+)?\b`), "ID"},
	{regexp.MustCompile(`\b(supervisor|signal|media|hub|directory) \d+\b`), "$1 PID"},
	{regexp.MustCompile(`("?(pid|value|revision|directory_revision|epoch|flow_id|sent|received|lost|q|announced_out|withdrawn_out)"?: ?)"?\d+"?`), "${1}N"},
	{regexp.MustCompile(`\brevision \d+`), "revision N"},
	{regexp.MustCompile(`(?m)^((sip|trace|requests|acks|responses|cookies|searches|breakers|message|auth|loops|failovers)\w*) +\d+$`), "$1  N"},
	{regexp.MustCompile(`/tmp/[\w./-]+`), "PATH"},
	{regexp.MustCompile(`-{2,}|-->?|<--?`), "--"},
	{regexp.MustCompile(`(\S) {2,}`), "$1  "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

func (c *console) settled() string {
	text := c.text.String()
	for _, u := range unsettled {
		text = u.pattern.ReplaceAllString(text, u.with)
	}
	return text
}

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
