"""Made-up patients with known answers: anatomy, physics and facts."""
