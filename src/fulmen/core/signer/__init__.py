"""What a key holder is asked, how its answers fill messages, and the policy that refuses what would lose money."""
