package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPasskeysInABrowser(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	v := visit(t, w, desktop).provokes(http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict)
	v.open("/join?return=/account")
	v.authenticated()
	v.press(v.button("Create a passkey")) // the form says that the name is missing
	v.fill("Your name", "Noor Haddad")
	v.press(v.button("Create a passkey"))
	v.sees(v.heading("Your account"))
	n, err := v.GetByLabel("Name of this passkey").Count()
	require.NoError(t, err)
	require.Equal(t, 1, n)

	v.press(v.button("Add a passkey"))
	v.says("This device has a passkey for this account already.")
	v.fill("Name of this passkey", "Work laptop")
	v.press(v.button("Rename"))
	require.Equal(t, "Work laptop", v.value("Name of this passkey"))
	v.press(v.link("Remove Work laptop"))
	v.press(v.button("Remove passkey"))
	v.says("This is your last passkey or wallet.")

	v.open("/account")
	v.press(v.button("Sign out").First())
	v.sees(v.heading("Sign in"))
	v.open("/login?return=/account")
	v.press(v.button("Sign in with a passkey"))
	v.sees(v.heading("Your account"))

	_, err = w.pool(t).Exec(t.Context(), `UPDATE sessions SET stepped_up_at = stepped_up_at - interval '6 minutes' WHERE person_id = (SELECT id FROM persons WHERE name = 'Noor Haddad')`)
	require.NoError(t, err)
	v.press(v.button("Make new codes"))
	v.sees(v.heading("Confirm that it is you"))
	v.press(v.button("Use a passkey"))
	v.sees(v.heading("Your account"))
	v.press(v.button("Make new codes"))
	v.sees(v.heading("Recovery codes"))
}
