package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// TestDemo runs the demonstration as a stranger would and checks the facts that it prints.
func TestDemo(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, "mssdemo"))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	text := stdout.String()
	if err != nil {
		t.Fatalf("mssdemo: %v\n%s%s", err, text, stderr.String())
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v, a minute is promised", took)
	}
	defer func() {
		if t.Failed() {
			t.Log(text)
		}
	}()
	checkProcesses(t, text)
	for _, fact := range []string{
		`4001 hears 620 Hz and not its own 440 Hz`,
		`1001 hears 440 Hz and not its own 620 Hz`,
		`each proved to the other who it is`,
		`killed hub a, pid \d+, and its directory, pid \d+\n`,
		`the next call, dialled \d+ms after the kill: from dialling to voice at both ends \d`,
		`the call answers again, over hub b`,
		`one record of the call in london: completed \(hang-up\), recovered: true`,
		`one record of the call in hongkong: completed \(hang-up\), recovered: false`,
		`4002 hears 770 Hz and not its own 910 Hz`,
		`1002 hears 910 Hz and not its own 770 Hz`,
		`4002 hears 440 Hz and not its own 910 Hz`,
		`from dialling to voice at both ends: \d`,
		`no process, port or file is left`,
		`All of it worked`,
	} {
		find(t, text, fact)
	}
	checkRoutes(t, text)
	checkOffices(t, text)
	checkKills(t, text)
	checkLadder(t, text)
	checkCounts(t, text)
}

// checkKills wants the same of the calls in which hub a and London's signalling died: hold, voice and hang-up over hub b.
func checkKills(t *testing.T, text string) {
	t.Helper()
	for _, fact := range []string{
		"0 packets missing at either phone across the kill",
		"since the kill the re-INVITE and the BYE passed hub b, and nothing was sent to hub a",
		"1001 hung up: 200 to its BYE",
		"4001 was told: the call ended there",
	} {
		if n := strings.Count(text, fact); n != 2 {
			t.Errorf("the demonstration says %q %d times, after each of two kills is due", fact, n)
		}
	}
	before, after, _ := strings.Cut(text, "killed hub a")
	for _, fact := range []string{
		"4001 holds the call and hears silence", "4001 resumes and hears 620 Hz again",
		"1001 holds the call and hears silence", "1001 resumes and hears 440 Hz again",
	} {
		if !strings.Contains(before, fact) || !strings.Contains(after, fact) {
			t.Errorf("the demonstration does not say %q before and after the kill of hub a", fact)
		}
	}
	for _, office := range []string{"london", "hongkong"} {
		find(t, text, `one record of the call in `+office+`: completed \(hang-up\), recovered: false`)
	}
	_, ladder, _ := strings.Cut(text, "The ladder since the kill of hub a")
	ladder, _, _ = strings.Cut(ladder, "✓")
	find(t, ladder, `4001 +london +hub b +hongkong +1001\n`)
	if strings.Contains(ladder, "hub a") {
		t.Error("the ladder since the kill of hub a shows it")
	}
}

// checkProcesses wants the pids of all nodes' processes, and a new one after the kill.
func checkProcesses(t *testing.T, text string) {
	t.Helper()
	pids := map[string]bool{}
	roles := []string{"hub a: tmss run", "hub a: tmss directory", "hub b: tmss run"}
	for _, office := range []string{"london", "hongkong"} {
		roles = append(roles, office+": lmss run", office+": lmss signal", office+": lmss media")
	}
	for _, role := range roles {
		pids[find(t, text, role+`: pid (\d+)`)] = true
	}
	if len(pids) != len(roles) {
		t.Errorf("pids %v of %d processes", pids, len(roles))
	}
	old, fresh := find(t, text, `killed pid (\d+)`), find(t, text, `started it again: pid (\d+)`)
	if hub := find(t, text, `killed hub a, pid (\d+)`); hub != find(t, text, `hub a: tmss run: pid (\d+)`) {
		t.Errorf("pid %s was killed, which is not hub a", hub)
	}
	if old != find(t, text, `london: lmss signal: pid (\d+)`) || pids[fresh] {
		t.Errorf("pid %s was killed and %s began", old, fresh)
	}
}

// checkRoutes wants each office's numbers to lead to it, by what it announced.
func checkRoutes(t *testing.T, text string) {
	t.Helper()
	for prefix, site := range map[string]string{"4xxx": "london", "1xxx": "hongkong"} {
		find(t, text, `(?m)^ *\| `+prefix+` +1 +site/`+site+` +`+site+` +learned `)
		find(t, text, `(?m)^ *\| site/`+site+` +up +\S+ +alive +tls `)
	}
	find(t, text, `(?m)^ *\| 1xxx +1 +hub/b +hongkong +learned `)
	find(t, text, `(?m)^ *\| 4xxx +2 +hub/a +london +learned `)
	_, london, _ := strings.Cut(text, "$ mssctl peer list   (at london)")
	london, _, _ = strings.Cut(london, "Register phones")
	for _, hub := range []string{"hub/a", "hub/b"} {
		for _, where := range []string{text, london} {
			find(t, where, `(?m)^ *\| `+hub+` +up +\S+ +alive +tls `)
		}
	}
}

// checkOffices wants each phone to send its voice to the address of its own office, which is no other's.
func checkOffices(t *testing.T, text string) {
	t.Helper()
	london := find(t, text, `london: lmss run: pid \d+, SIP on udp ([\d.]+):`)
	hongkong := find(t, text, `hongkong: lmss run: pid \d+, SIP on udp ([\d.]+):`)
	if london == hongkong {
		t.Errorf("both offices are at %s", london)
	}
	find(t, text, `4001 sends its voice to its own office: london, `+regexp.QuoteMeta(london)+`\n`)
	find(t, text, `1001 sends its voice to its own office: hongkong, `+regexp.QuoteMeta(hongkong)+`\n`)
}

// find wants a fact in the text and gives its first group, if it has one.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Errorf("the demonstration does not say %q", pattern)
		return ""
	}
	return m[len(m)-1]
}

// checkLadder wants one Session-ID, the columns of all four nodes, their three legs, and the messages in order.
func checkLadder(t *testing.T, text string) {
	t.Helper()
	_, ladder, _ := strings.Cut(text, "and both hubs  [")
	ladder, _, _ = strings.Cut(ladder, "✓")
	if n := strings.Count(ladder, "Session-ID"); n != 1 {
		t.Errorf("%d Session-IDs in the ladder", n)
	}
	if n := strings.Count(ladder, "Call-ID"); n != 3 {
		t.Errorf("%d Call-IDs in the ladder of three legs", n)
	}
	find(t, ladder, `4001 +london +hub a +hub b +hongkong +1001\n`)
	find(t, text, `[1-9]\d* messages between nodes, each traced alike by its sender and its receiver`)
	find(t, text, `one Session-ID on all four nodes: [0-9a-f]{32}\n`)
	rest := ladder
	for _, message := range []string{
		"INVITE 1001", "401 ", "INVITE 1001", "INVITE 1001", "INVITE 1001", "INVITE 1001", "INVITE 1001", "180 ", "180 ", "180 ", "180 ", "180 ",
		"200 OK (INVITE", "200 OK (INVITE", "200 OK (INVITE", "200 OK (INVITE", "200 OK (INVITE",
	} {
		_, after, found := strings.Cut(rest, message)
		if !found {
			t.Errorf("the ladder has no %q where it is due:\n%s", message, ladder)
			return
		}
		rest = after
	}
	stamps := regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{6}`).FindAllString(ladder, -1)
	for i := 1; i < len(stamps); i++ {
		if stamps[i] < stamps[i-1] {
			t.Errorf("the ladder goes back from %s to %s", stamps[i-1], stamps[i])
		}
	}
}

// checkCounts compares the packets of each relay and the phones again.
func checkCounts(t *testing.T, text string) {
	t.Helper()
	rows := regexp.MustCompile(`the relay in (?:london|hongkong) counted (\d+) packets (?:to|from) \d+, the phone (\d+)`).FindAllStringSubmatch(text, -1)
	if len(rows) != 16 {
		t.Errorf("%d counts of packets, eight of each call are due", len(rows))
	}
	for _, row := range rows {
		relay, err1 := strconv.Atoi(row[1])
		phone, err2 := strconv.Atoi(row[2])
		if err1 != nil || err2 != nil || phone < 50 || relay < phone-phone/100-1 || relay > phone+phone/100+1 {
			t.Errorf("%s", row[0])
		}
	}
}

// TestDemoUpEndsWithCtrlC starts mssdemo --up, calls the tone in Hong Kong from London with the printed password,
// interrupts it and looks for what is left.
func TestDemoUpEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(limit(t), 30*time.Second)
	defer cancel()
	address := node.NewAddress()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "mssdemo"), "--up", "--listen", address.String())
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	var text strings.Builder
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C ends it") {
			break
		}
	}
	secret := find(t, text.String(), `account 4001, password (\S{20,})`)
	find(t, text.String(), `account 1001, password \S{20,}`)
	find(t, text.String(), `London, SIP server \(registrar, proxy\): `+regexp.QuoteMeta(address.String())+`:5060 over UDP`)
	find(t, text.String(), `Hong Kong, SIP server \(registrar, proxy\): `+regexp.QuoteMeta(address.Next().String())+`:5060 over UDP`)
	if len(node.Bound(address)) == 0 {
		t.Error("nothing is bound while it is up")
	}
	hearTone(t, netip.AddrPortFrom(address, 5060), secret, "1009", 620)
	accountsRegister(t, text.String(), address)
	must(t, cmd.Process.Signal(syscall.SIGINT))
	rest, err := io.ReadAll(stdout)
	must(t, err)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v\n%s%s", err, text.String(), rest)
	}
	find(t, string(rest), `no process, port or file is left`)
	for _, a := range []netip.Addr{address, address.Next(), address.Next().Next(), address.Next().Next().Next()} {
		if bound := node.Bound(a); len(bound) != 0 {
			t.Errorf("left bound: %v", bound)
		}
	}
}

// accountsRegister registers a phone with each account that was printed, at the office under whose name it stands.
func accountsRegister(t *testing.T, text string, london netip.Addr) {
	t.Helper()
	accounts := regexp.MustCompile(`account (\d+), password (\S+)`).FindAllStringSubmatch(text, -1)
	if len(accounts) < 4 {
		t.Errorf("only %d accounts are printed", len(accounts))
	}
	for _, account := range accounts {
		at := london
		if account[1][0] == '1' {
			at = london.Next()
		}
		p, err := phone.New(phone.Options{Name: account[1], Password: account[2], Registrar: netip.AddrPortFrom(at, 5060)})
		must(t, err)
		if err := p.Register(limit(t)); err != nil {
			t.Errorf("account %s: %v", account[1], err)
		}
		p.Close()
	}
}

// hearTone registers 4001, calls a number that answers by itself and wants its tone.
func hearTone(t *testing.T, registrar netip.AddrPort, secret, number string, freq float64) {
	t.Helper()
	ctx := limit(t)
	p, err := phone.New(phone.Options{Name: "4001", Password: secret, Registrar: registrar})
	must(t, err)
	defer p.Close()
	must(t, p.Register(ctx))
	c, err := p.Dial(ctx, number)
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	must(t, c.Voice().WaitTone(ctx, freq))
	must(t, c.Hangup(ctx))
	if v := p.Violations(); len(v) > 0 {
		t.Errorf("the phone saw %v", v)
	}
}
