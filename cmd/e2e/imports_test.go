package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mss-federation/mss"

// listed is what `go list -json` says of one package.
type listed struct {
	ImportPath string
	Imports    []string
	TestImports,
	XTestImports []string
}

// layers says what each folder may import of this module. Imports run one way: proto ← pkg ← lmss | tmss ← cmd.
var layers = map[string][]string{
	"proto": {"proto"},
	"pkg":   {"proto", "pkg"},
	"lmss":  {"proto", "pkg", "lmss"},
	"tmss":  {"proto", "pkg", "tmss"},
	"cmd":   {"proto", "pkg", "lmss", "tmss", "cmd"},
}

// pure packages decide and do no I/O: none of these may be reached from them inside the module.
var (
	pure   = []string{module + "/lmss/dialplan", module + "/tmss/routetable"}
	impure = []string{"net", "github.com/emiago/sipgo", "google.golang.org", "go.etcd.io", module + "/proto"}
)

func TestImportDirections(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	if len(packages) < 5 {
		t.Fatalf("only %d packages listed: is the test looking at the module?", len(packages))
	}
	for _, fault := range layerFaults(packages) {
		t.Error(fault)
	}
	for _, fault := range purityFaults(packages) {
		t.Error(fault)
	}
}

// TestImportRulesNotice breaks each rule on purpose: the test above must see it.
func TestImportRulesNotice(t *testing.T) {
	t.Parallel()
	dialplan := module + "/lmss/dialplan"
	for name, packages := range map[string][]listed{
		"pkg imports lmss":       {{ImportPath: module + "/pkg/x", Imports: []string{module + "/lmss/user"}}},
		"proto imports pkg":      {{ImportPath: module + "/proto/mss/x", Imports: []string{module + "/pkg/fault"}}},
		"lmss imports tmss":      {{ImportPath: module + "/lmss/x", Imports: []string{module + "/tmss/y"}}},
		"tmss imports lmss":      {{ImportPath: module + "/tmss/x", Imports: []string{module + "/lmss/y"}}},
		"a test of pkg too":      {{ImportPath: module + "/pkg/x", TestImports: []string{module + "/cmd/internal/rig"}}},
		"an unknown folder":      {{ImportPath: module + "/internal/x"}},
		"dialplan imports net":   {{ImportPath: dialplan, Imports: []string{"net"}}},
		"dialplan imports sipgo": {{ImportPath: dialplan, Imports: []string{"github.com/emiago/sipgo/sip"}}},
		"dialplan reaches grpc": {
			{ImportPath: dialplan, Imports: []string{module + "/pkg/x"}},
			{ImportPath: module + "/pkg/x", Imports: []string{"google.golang.org/grpc"}},
		},
	} {
		if len(layerFaults(packages))+len(purityFaults(packages)) == 0 {
			t.Errorf("%s: not noticed", name)
		}
	}
	good := []listed{{ImportPath: dialplan, Imports: []string{"net/netip", module + "/pkg/federation"}}}
	if faults := append(layerFaults(good), purityFaults(good)...); len(faults) != 0 {
		t.Errorf("net/netip is allowed, got %q", faults)
	}
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// layerFaults names each import that runs against the order of the folders.
func layerFaults(packages []listed) (faults []string) {
	for _, p := range packages {
		allowed, known := layers[folder(p.ImportPath)]
		if !known {
			faults = append(faults, p.ImportPath+" is in none of proto, pkg, lmss, tmss, cmd")
			continue
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if to := folder(imported); to != "" && !slices.Contains(allowed, to) {
				faults = append(faults, fmt.Sprintf("%s imports %s", p.ImportPath, imported))
			}
		}
	}
	return faults
}

// purityFaults names what the pure packages reach, through packages of this module, that does I/O.
func purityFaults(packages []listed) (faults []string) {
	imports := make(map[string][]string, len(packages))
	for _, p := range packages {
		imports[p.ImportPath] = p.Imports
	}
	for _, root := range pure {
		seen := map[string]bool{}
		var walk func(path []string)
		walk = func(path []string) {
			for _, imported := range imports[path[len(path)-1]] {
				if slices.ContainsFunc(impure, func(bad string) bool { return under(imported, bad) }) {
					faults = append(faults, strings.Join(append(path, imported), " → "))
				}
				if folder(imported) != "" && !seen[imported] {
					seen[imported] = true
					walk(append(path, imported))
				}
			}
		}
		walk([]string{root})
	}
	return faults
}

// folder is the top-level folder of a package of this module; empty for all others.
func folder(importPath string) string {
	rest, ours := strings.CutPrefix(importPath, module+"/")
	if !ours {
		return ""
	}
	top, _, _ := strings.Cut(rest, "/")
	return top
}

// under says whether importPath is bad or inside it. "net" means the package net alone (net/netip does no
// I/O) and net/http.
func under(importPath, bad string) bool {
	if bad == "net" {
		return importPath == "net" || strings.HasPrefix(importPath, "net/http")
	}
	return importPath == bad || strings.HasPrefix(importPath, bad+"/")
}
