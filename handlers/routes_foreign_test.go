package handlers_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

// theirs are what ids, tokens and moments look like, which no two answers have in common.
var theirs = regexp.MustCompile(`[a-z]{2,4}_[1-9A-HJ-NP-Za-km-z]{22}|[1-9A-HJ-NP-Za-km-z]{22}|…[1-9A-HJ-NP-Za-km-z]{6}|\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?Z)?`)

// alike is an answer without what tells two of the same apart.
func (r reply) alike() string {
	return theirs.ReplaceAllString(fmt.Sprintf("%d\n%v\n%s", r.status, r.header, r.body), "…")
}

// public tells whether the address of the row is what lets anybody look at it.
func (r rule) public() bool {
	open := slices.Contains([]string{"yes", "proves"}, r.cells["other"])
	return open && (strings.Contains(r.path, "/:") || r.cells["key"] == "public")
}

func TestWhatIsAnotherShopsAnswersAsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	compared := 0
	for _, r := range accessTable(t) {
		if r.public() {
			continue
		}
		for _, carries := range contents(r) {
			if !w.namesRows(r, carries) {
				continue
			}
			for name, accept := range readers {
				w.requireAlike(r, carries, name, accept)
				compared++
			}
		}
	}
	require.Greater(t, compared, 200)
}

// contents are all the ways in which a route's requests name rows, the usual one first.
func contents(r rule) []func(*accessWorld, rows) content {
	usual := func(w *accessWorld, ids rows) content { return w.form(r, ids) }
	return append([]func(*accessWorld, rows) content{usual}, others[r.String()]...)
}

// namesRows tells whether a request names any.
func (w *accessWorld) namesRows(r rule, carries func(*accessWorld, rows) content) bool {
	named := false
	ids := func(kind string) string {
		named = true
		return unknown()(kind)
	}
	carries(w, ids)
	w.target(r.path, ids)
	return named
}

// requireAlike makes a request of an owner of the other shop twice: about rows of this shop, and about none.
func (w *accessWorld) requireAlike(r rule, carries func(*accessWorld, rows) content, name string, accept with) {
	w.t.Helper()
	sends := w.foreigner(r)
	answers := map[string]string{}
	for what, ids := range map[string]rows{"foreign": w.own(w.boss), "unknown": unknown()} {
		body := carries(w, ids)
		w.target(r.path, ids)
		w.touched()
		answer := w.ask(r, ids, body, sends, accept)
		for _, t := range w.touched() {
			require.NotEqual(w.t, string(w.shop), t.Was["merchant_id"], "%s, %s, %s: %s", r, name, what, t)
			require.NotEqual(w.t, string(w.shop), t.Now["merchant_id"], "%s, %s, %s: %s", r, name, what, t)
		}
		answers[what] = answer.alike()
	}
	require.Equal(w.t, answers["unknown"], answers["foreign"], "%s, %s", r, name)
}

// foreigner is an owner of the other shop, or its tablet where only tablets may ask.
func (w *accessWorld) foreigner(r rule) with {
	if r.cells["other"] == "pair" {
		return w.till(w.other)
	}
	_, sends := w.as("other")
	return sends
}

// named are the members and parameters by which calls of the API name rows.
var named = regexp.MustCompile(`^id$|_id$|^cursor$|^after$|^edition_of$|^image$|^file$`)

func TestEveryNameOfARowInTheAPIIsTried(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	missing, tried := []string{}, 0
	document := w.get("/openapi.json").json()
	for path, methods := range document["paths"].(map[string]any) {
		for method, call := range methods.(map[string]any) {
			r := rule{method: strings.ToUpper(method), path: regexp.MustCompile(`\{(\w+)\}`).ReplaceAllString(path, ":$1")}
			sent := map[string]bool{}
			for _, carries := range contents(r) {
				c := carries(w, unknown())
				for name := range c.query {
					sent[name] = true
				}
				membersOf(c.json, sent)
			}
			for _, name := range namesIn(document, call.(map[string]any)) {
				// Lists go on from any id of their kind: they are the caller's own rows, sorted by it.
				if !named.MatchString(name) || strings.HasSuffix(path, "/list") {
					continue
				}
				if tried++; !sent[name] {
					missing = append(missing, r.String()+" "+name)
				}
			}
		}
	}
	require.Empty(t, missing, "add it to others in routes_forms_test.go")
	require.Greater(t, tried, 25)
}

// membersOf adds the names of an object's members, and of those of the objects within it.
func membersOf(o object, into map[string]bool) {
	for name, value := range o {
		into[name] = true
		switch v := value.(type) {
		case object:
			membersOf(v, into)
		case []object:
			for _, one := range v {
				membersOf(one, into)
			}
		}
	}
}

// namesIn are the names of a call's query and of its JSON body.
func namesIn(document, call map[string]any) (names []string) {
	parameters, _ := call["parameters"].([]any)
	for _, p := range parameters {
		if p := p.(map[string]any); p["in"] == "query" {
			names = append(names, p["name"].(string))
		}
	}
	body, _ := call["requestBody"].(map[string]any)
	contents, _ := body["content"].(map[string]any)
	media, _ := contents["application/json"].(map[string]any)
	return append(names, propertiesOf(document, media["schema"])...)
}

// propertiesOf are the names of what a schema's objects have, at any depth.
func propertiesOf(document map[string]any, schema any) (names []string) {
	s, ok := schema.(map[string]any)
	if !ok {
		return nil
	}
	if to, ok := s["$ref"].(string); ok {
		all := document["components"].(map[string]any)["schemas"].(map[string]any)
		return propertiesOf(document, all[strings.TrimPrefix(to, "#/components/schemas/")])
	}
	for _, several := range []string{"allOf", "anyOf"} {
		parts, _ := s[several].([]any)
		for _, part := range parts {
			names = append(names, propertiesOf(document, part)...)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, inner := range properties {
		names = append(append(names, name), propertiesOf(document, inner)...)
	}
	return append(names, propertiesOf(document, s["items"])...)
}

// smuggled is what somebody adds to a form that does not ask for it.
func (w *accessWorld) smuggled() map[string]string {
	return map[string]string{
		"merchant_id": string(w.other), "merchant": string(w.other), "seller_id": string(w.other), "seller": string(w.other),
		"person_id": string(w.boss.id), "livemode": "true", "role": "owner", "status": "removed", "stepped_up": "true", "created_by": string(w.boss.id),
		"proven_at": "2001-02-03T12:00:00Z", "payments": "7", "token": "chosen-by-the-caller", "hash": "5eed5eed5eed", "scopes": "dev:settle", "id": "chosen",
	}
}

func TestAFormSetsNothingThatItDoesNotAskFor(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	for _, r := range accessTable(t) {
		if r.method != http.MethodPost || r.cells["owner"] != "yes" || r.readsNoCookie() {
			continue
		}
		p, sends := w.as("owner")
		ids := w.own(p)
		carries := w.form(r, ids)
		if carries.json != nil {
			continue
		}
		if carries.form == nil {
			carries.form = pairsOf(nil)
		}
		for name, value := range w.smuggled() {
			if !carries.form.Has(name) {
				carries.form.Set(name, value)
			}
		}
		w.target(r.path, ids)
		w.touched()
		answer := w.ask(r, ids, carries, sends)
		require.Equal(t, "yes", answer.outcome(), "%s: %d %s", r, answer.status, answer.body)
		for _, row := range w.touched() {
			w.requireUnsmuggled(r, row)
		}
	}
}

func (w *accessWorld) requireUnsmuggled(r rule, row touch) {
	w.t.Helper()
	require.NotContains(w.t, []any{row.Was["merchant_id"], row.Now["merchant_id"]}, any(string(w.other)), "%s: %s", r, row)
	if row.Table != "item_stock" { // which a new item has of both modes
		require.NotEqual(w.t, true, row.Now["livemode"], "%s: %s", r, row)
	}
	for _, value := range []string{"chosen", "5eed5eed5eed", "dev:settle", "2001-02-03"} { // whatever type its column has
		require.NotContains(w.t, fmt.Sprint(row.Now), value, "%s: %s", r, row)
	}
	opened := row.Now["merchant_id"] != nil && row.Now["merchant_id"] != string(w.shop) // a shop of his own
	if (row.Table == "members" || row.Table == "invites") && !opened {
		require.Equal(w.t, row.Was["role"] == "owner", row.Now["role"] == "owner", "%s: %s", r, row)
	}
}

func TestAnObjectWithAMemberThatIsNotAskedForIsRefused(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	refused := 0
	for _, r := range accessTable(t) {
		p, sends := w.as("owner")
		ids := w.own(p)
		carries := w.form(r, ids)
		if carries.json == nil || r.path == "/api/payment_attempts/:id/pay" { // which takes what wallets make
			continue
		}
		for _, name := range []string{"merchant_id", "seller_id", "livemode", "role", "person", "stepped_up", "scopes"} {
			carries := w.form(r, ids)
			carries.json = object{name: "x"}
			for member, value := range w.form(r, ids).json {
				carries.json[member] = value
			}
			w.touched()
			answer := w.ask(r, ids, carries, sends)
			code, field := answer.code()
			require.Equal(t, 400, answer.status, "%s with %s: %s", r, name, answer.body)
			require.Equal(t, []string{"invalid_field", name}, []string{code, field}, r)
			require.Empty(t, w.touched(), r)
			refused++
		}
	}
	require.Greater(t, refused, 100)
}

func TestAFormSentAfterTheRoleIsGoneChangesNothing(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	ends := map[string]func(somebody) error{
		"removed":   func(p somebody) error { return w.access.Remove(t.Context(), w.boss.session, access.Browser{}, p.id) },
		"suspended": func(p somebody) error { return w.access.Suspend(t.Context(), w.boss.session, access.Browser{}, p.id) },
		"another role": func(p somebody) error {
			return w.access.ChangeRole(t.Context(), w.boss.session, access.Browser{}, p.id, access.Viewer)
		},
	}
	for _, r := range accessTable(t) {
		if r.cells["manager"] != "yes" || !strings.HasPrefix(r.path, "/dashboard") {
			continue
		}
		for name, end := range ends {
			p, sends := w.as("manager")
			ids := w.own(w.boss)
			carries := w.form(r, ids)
			w.target(r.path, ids)
			require.NoError(t, end(p))
			w.touched()
			answer := w.ask(r, ids, carries, sends)
			require.Equal(t, "login", answer.outcome(), "%s, %s: %s", r, name, answer.body)
			require.Empty(t, w.touched(), "%s, %s", r, name)
		}
	}
}
