package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"
)

func staffExample() StaffView {
	return StaffView{
		DashboardView: shell("Staff", SectionStaff), MayChange: true,
		People: []ColleagueRow{
			{Person: "usr_1ChHQgZvF7Y4JLiQa34ooR", Name: "Mette Lund", Role: "Owner", You: true, Seen: at(21, 14, 32, 0)},
			{Person: "usr_1ChHQgZvF7Y4JLiQa34ooS", Name: "Kim", Role: "Cashier", PIN: true, Paused: true},
			{Person: "usr_1ChHQgZvF7Y4JLiQa34ooT", Name: "Vic", Role: "Viewer", Suspended: true},
		},
		Invites: []InviteRow{{Invite: "inv_1ChHQgZvF7Y4JLiQa34ooR", Name: "Mia", Role: "Manager", Inviter: "Mette Lund", Expires: at(22, 14, 32, 0)}},
		Tills:   []TillRow{{Till: "dev_1ChHQgZvF7Y4JLiQa34ooR", Name: "Counter", PairedBy: "Mette Lund", Seen: at(21, 14, 0, 0)}},
	}
}

func TestPagesOfStaff(t *testing.T) {
	t.Parallel()
	cards := []RoleCard{
		{Value: "manager", Name: "Manager", Can: "Run the shop.", Cannot: "Change owners.", Chosen: true}, {Value: "viewer", Name: "Viewer", Can: "See sales."},
	}
	qr, err := NewQR("https://shop.example/invite/abc")
	require.NoError(t, err)
	alone := staffExample()
	alone.People, alone.Invites, alone.Tills, alone.MayChange = alone.People[:1], nil, nil, false
	alone.Shops = []ShopChoice{{Merchant: "sel_1ChHQgZvF7Y4JLiQa34ooR", Name: "Kaffe Nord", Role: "owner", Current: true}, {Merchant: "sel_1ChHQgZvF7Y4JLiQa34ooS", Name: "Bookshop", Role: "viewer"}}
	alone.Closed = []Section{SectionAudit, SectionWebhooks}
	tile := TillTile{Person: "usr_1ChHQgZvF7Y4JLiQa34ooS", Name: "Kim", Role: "Cashier"}
	pages := map[string]templ.Component{
		"staff":           Staff(staffExample()),
		"staff_alone":     Staff(alone),
		"staff_colleague": Colleague(ColleagueView{DashboardView: shell("Kim", SectionStaff), ColleagueRow: staffExample().People[1], Roles: cards, MayPIN: true, PIN: Field{Problem: "Choose 4 to 8 digits."}}),
		"staff_manager":   Colleague(ColleagueView{DashboardView: shell("Mia", SectionStaff), ColleagueRow: ColleagueRow{Person: "usr_1ChHQgZvF7Y4JLiQa34ooU", Name: "Mia", Role: "Manager"}, Roles: cards, MayLimit: true, RoleLimit: usdc(t, "1000"), RefundLimit: Field{Value: "250.00"}}),
		"staff_limit":     Colleague(ColleagueView{DashboardView: shell("Mia", SectionStaff), ColleagueRow: ColleagueRow{Person: "usr_1ChHQgZvF7Y4JLiQa34ooU", Name: "Mia", Role: "Manager"}, Roles: cards, MayLimit: true, RoleLimit: usdc(t, "1000"), RefundLimit: Field{Value: "-1", Problem: "Give an amount such as 250.00, 0 for none, or nothing for what the role may."}}),
		"staff_invite":    InviteForm(InviteFormView{DashboardView: shell("Invite", SectionStaff), Roles: cards, Problem: "Choose a role that you may give."}),
		"staff_link":      InviteLink(InviteLinkView{DashboardView: shell("Invitation", SectionStaff), Name: "Mia", Role: "Manager", URL: qr.Text, QR: qr, Expires: at(22, 14, 32, 0)}),
		"staff_cashier":   CashierForm(CashierFormView{DashboardView: shell("Add a cashier", SectionStaff), Name: Field{Value: "Kim"}}),
		"staff_till":      TillForm(TillFormView{DashboardView: shell("Pair a tablet", SectionStaff)}),
		"staff_pairing":   Pairing(PairingView{DashboardView: shell("Pair a tablet", SectionStaff), Name: "Counter", Code: "042917", URL: "https://shop.example/pos", QR: qr, Minutes: 5}),
		"invite":          Invite(InviteView{Token: "abc", Shop: "Kaffe Nord", Role: cards[0], Inviter: "Mette Lund"}),
		"invite_known":    Invite(InviteView{Token: "abc", Shop: "Kaffe Nord", Role: cards[0], Inviter: "Mette Lund", Person: "Mia"}),
		"invite_member":   Invite(InviteView{Token: "abc", Shop: "Kaffe Nord", Role: cards[0], Inviter: "Mette Lund", Person: "Mia", Member: true}),
		"till_pair":       TillPair(TillPairView{Code: Field{Value: "1", Problem: "This code pairs no tablet."}}),
		"till_locked":     TillLock(TillLockView{Shop: "Kaffe Nord", Till: "Counter", Tiles: []TillTile{tile}, Live: TillPath}),
		"till_pin":        TillLock(TillLockView{Shop: "Kaffe Nord", Till: "Counter", Chosen: &tile, Problem: "This is not the PIN.", Live: TillPath}),
		"audit": Audit(AuditView{
			DashboardView: shell("Who did what", SectionAudit),
			Filter:        AuditFilter{Action: "member.removed", People: []Option{{Value: "usr_1", Word: "Mette Lund"}}, Actions: []Option{{Value: "member.removed", Word: "Member removed"}}},
			Rows: []AuditRow{{
				ID: "aud_1ChHQgZvF7Y4JLiQa34ooR", Time: at(21, 14, 32, 0), Who: "Mette Lund", What: "Member removed", Resource: "usr_1", Address: "203.0.113.7",
				Browser: "Firefox on Linux", Changes: []AuditChange{{Field: "Status", Before: "active", After: "removed"}},
			}},
		}),
		"audit_none": Audit(AuditView{DashboardView: shell("Who did what", SectionAudit)}),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
			require.NotContains(t, render(t, page), " style=")
		})
	}
}
